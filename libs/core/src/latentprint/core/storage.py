"""Files below one URL: an object store, or a folder that several machines share."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from latentprint.core.errors import DataError, UsageError
from latentprint.core.text import printable

VARIABLE = "LATENTPRINT_STORAGE"
_OBJECT_STORES = ("s3", "gcs")  # where a file is there whole or not at all, and needs no folder
_SCHEME = re.compile("[a-z][a-z0-9+.-]+:")
_CREDENTIALS = re.compile("//[^/@]*@")
_CHUNK = 2**20


class UnansweredError(DataError):
    """A storage did not do what it was asked; `reason` is why, in the file system's words."""

    def __init__(self, message: str, reason: str = "") -> None:  # the message alone is what a pickled error is made of
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Stored:
    """What a storage says of one file: bytes, and when it was written, nanoseconds since the epoch."""

    size: int
    written: int


@dataclass(frozen=True)
class Storage:
    """Files by key, a relative path with slashes, below `url`: s3://BUCKET/PREFIX, gs://..., file:///... or a folder.

    Keys come and go whole: nobody reads half a file. Picklable; the connection is made where it is needed.
    """

    url: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        import pyarrow as pa
        from pyarrow.fs import FileSystem, LocalFileSystem

        if not _SCHEME.match(self.url):
            return LocalFileSystem(), str(Path(self.url).resolve())
        try:
            system, path = FileSystem.from_uri(self.url)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._no_url(printable(_CREDENTIALS.sub("//", str(error)))) from None
        if not path.strip("/"):
            raise self._no_url("it names no bucket and no folder")
        return system, path

    def _no_url(self, why: str) -> UsageError:
        return UsageError(
            f"{self} is no storage ({why}): write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or the path "
            "of a folder that all nodes share."
        )

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    def __str__(self) -> str:
        """The URL, without credentials that may stand in it."""
        return printable(_CREDENTIALS.sub("//", self.url))

    def place(self, key: str) -> tuple[Any, str]:
        """The file system of pyarrow's and the whole path in it of `key`, for others that write there."""
        system, base = self._place
        return system, f"{base.rstrip('/')}/{key}" if key not in ("", ".") else base

    def check(self) -> None:
        """Write, read and remove a small file. Raises `UsageError` for no URL, `DataError` for no access."""
        key, content = f".check-{uuid4().hex}", uuid4().bytes
        try:
            self.write(key, content)
            found = self.read(key)
            self.remove(key)
        except UnansweredError as error:
            raise DataError(
                f"{self} cannot be used as storage ({error.reason}): check the URL, the keys in the environment and, "
                "for another make of S3, AWS_ENDPOINT_URL."
            ) from None
        if found != content:
            raise DataError(f"{self} gives back something else than was written to it.")

    def find(self, key: str) -> Stored | None:
        """What lies under `key`; None where no file does."""
        from pyarrow.fs import FileType

        with self._asking("look at", key) as (system, path):
            info = system.get_file_info(path)
        return Stored(info.size, info.mtime_ns or 0) if info.type == FileType.File else None

    def listed(self, key: str) -> dict[str, Stored]:
        """The files that `key` stands for: itself, all below it, or, with a * in its last part, those that match."""
        from pyarrow.fs import FileSelector, FileType

        place = PurePosixPath(key)
        matching = "*" in place.name
        itself = None if matching else self.find(key)
        if itself is not None:
            return {key: itself}
        folder = str(place.parent) if matching else key
        with self._asking("list", folder) as (system, path):
            found = system.get_file_info(FileSelector(path, allow_not_found=True, recursive=not matching))
            base = path.removesuffix(folder) if folder not in ("", ".") else f"{path.rstrip('/')}/"
        files = {
            info.path.removeprefix(base): Stored(info.size, info.mtime_ns or 0)
            for info in found
            if info.type == FileType.File and not info.base_name.startswith(".")
        }
        if not matching:
            return files
        return {name: one for name, one in files.items() if fnmatchcase(PurePosixPath(name).name, place.name)}

    def read(self, key: str) -> bytes | None:
        """The content of a file; None where there is none."""
        if self.find(key) is None:
            return None
        with self._asking("read", key) as (system, path), system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def write(self, key: str, content: bytes) -> None:
        """Replace a file in one step."""
        with self._writing(key) as stream:
            stream.write(content)

    def fetch(self, key: str, path: Path) -> bool:
        """Copy a file to `path`, in one step, with its time of writing; returns whether there was one."""
        stored = self.find(key)
        if stored is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
        try:
            with (
                self._asking("read", key) as (system, place),
                system.open_input_stream(place) as stream,
                draft.open("wb") as local,
            ):
                while chunk := stream.read(_CHUNK):
                    local.write(chunk)
            os.utime(draft, ns=(stored.written, stored.written))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def keep(self, path: Path, key: str, *, dated: bool = False) -> tuple[int, int, int]:
        """Copy the file at `path` to `key`, in one step.

        Args:
            path: the file.
            key: where it goes.
            dated: give the file here the time that the storage says it was written at, so that both are known as one.

        Returns:
            The copied file's inode, bytes and time of change.

        Raises:
            FileNotFoundError: nothing lies there any more.
        """
        with path.open("rb") as local:
            with self._writing(key) as stream:
                while chunk := local.read(_CHUNK):
                    stream.write(chunk)
            stored = self.find(key) if dated else None
            if stored is not None:  # by its descriptor: another file may lie at the path by now
                os.utime(local.fileno(), ns=(stored.written, stored.written))
            facts = os.fstat(local.fileno())
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    def remove(self, key: str) -> None:
        """Remove a file, where there is one."""
        with self._asking("remove", key) as (system, path):
            try:
                system.delete_file(path)
            except FileNotFoundError:
                return

    @contextmanager
    def _writing(self, key: str) -> Iterator[Any]:
        with self._asking("write", key) as (system, path):
            if system.type_name in _OBJECT_STORES:
                with system.open_output_stream(path) as stream:
                    yield stream
                return
            folder, _, name = path.rpartition("/")
            draft = f"{folder}/.{name}.{uuid4().hex[:8]}"
            system.create_dir(folder, recursive=True)
            with system.open_output_stream(draft) as stream:
                yield stream
            system.move(draft, path)

    @contextmanager
    def _asking(self, what: str, key: str) -> Iterator[tuple[Any, str]]:
        """The file system and the whole path of `key`. Raises `UnansweredError` where it does not answer."""
        try:
            yield self.place(key)
        except FileNotFoundError:
            raise
        except OSError as error:
            said = " ".join(str(error).split())
            reason = printable(said[max(0, said.find("AWS Error")) :])[:200]  # before it the key, once more
            raise UnansweredError(
                f"Cannot {what} {printable(key)} in the storage {self}: {reason}. "
                "What was kept before is there: run the same command again to go on.",
                reason,
            ) from None
