"""Named files of a folder, a .zip or a .tar, read at random and never extracted."""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from latentprint.core.errors import DataError

_BLOCK = 512  # a tar is made of blocks; one of zeros ends it
_AGAIN = "fetch it again"


class Members(Protocol):
    """Files by name: a path relative to the folder or archive, with forward slashes."""

    place: Path

    def names(self) -> list[str]:
        """All names, sorted; hidden files are passed over."""
        ...

    def read(self, name: str) -> bytes:
        """A file's content. Raises `KeyError` for an unknown name, `DataError` for a damaged file. Thread-safe."""
        ...

    def where(self, name: str) -> str:
        """The file in words, for an error message."""
        ...


@contextmanager
def opened(place: Path, root: str = "") -> Iterator[Members]:
    """The files of a folder, a .zip or an uncompressed .tar; a tar's inner tars count as folders.

    Args:
        place: the folder or archive.
        root: folder inside an archive whose files are named relative to it; files elsewhere keep their names.

    Raises:
        DataError: nothing there, no archive of these kinds, or a truncated one, by name.
    """
    if place.is_dir():
        yield FolderMembers(place)
    elif not place.is_file():
        raise DataError(f"No such file or folder: {place}.")
    elif place.suffix == ".zip":
        with _opened_zip(place) as archive:
            yield ZipMembers(place, archive, root)
    else:
        with place.open("rb") as stream:
            yield TarMembers(place, stream.fileno(), _tar_index(place, root))


class FolderMembers:
    """The files below a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def names(self) -> list[str]:
        """All names, sorted."""
        found = []
        for folder, _, files in os.walk(self.place):
            inside = Path(folder).relative_to(self.place)
            found += [(inside / file).as_posix() for file in files]
        return sorted(filter(_is_shown, found))

    def read(self, name: str) -> bytes:
        """A file's content."""
        try:
            return (self.place / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as error:
            raise DataError(f"{self.where(name)} cannot be read: {error.strerror}.") from None

    def where(self, name: str) -> str:
        """The file's path."""
        return str(self.place / name)


class ZipMembers:
    """The files in a .zip."""

    def __init__(self, place: Path, archive: zipfile.ZipFile, root: str) -> None:
        self.place = place
        self._archive = archive
        infos = (info for info in archive.infolist() if not info.is_dir() and _is_shown(info.filename))
        self._infos = {_below(root, info.filename): info for info in infos}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._infos)

    def read(self, name: str) -> bytes:
        """A file's content, whose checksum the archive holds."""
        info = self._infos[name]
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise DataError(f"{self.where(name)} is damaged ({error}): {_AGAIN}.") from None

    def where(self, name: str) -> str:
        """The file and its archive."""
        return f"{self._infos[name].filename if name in self._infos else name} in {self.place}"


class TarMembers:
    """The files in a .tar: name to (offset, size), bytes."""

    def __init__(self, place: Path, descriptor: int, index: dict[str, tuple[int, int]]) -> None:
        self.place = place
        self._descriptor = descriptor
        self._index = index

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._index)

    def read(self, name: str) -> bytes:
        """A file's content."""
        offset, size = self._index[name]
        content = os.pread(self._descriptor, size, offset)
        if len(content) < size:
            raise DataError(f"{self.place} is truncated: {_AGAIN}.")
        return content

    def where(self, name: str) -> str:
        """The file and its archive."""
        return f"{name} in {self.place}"


@contextmanager
def _opened_zip(place: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise DataError(f"{place} is truncated or not a .zip archive ({error}): {_AGAIN}.") from None
    with archive:
        yield archive


def _tar_index(place: Path, root: str) -> dict[str, tuple[int, int]]:
    """Where each file of a tar, and of the tars in it, lies."""
    size = place.stat().st_size
    index: dict[str, tuple[int, int]] = {}
    for name, start, length in _entries(place, 0, size, place.name):
        if name.endswith(".tar"):
            for inner, offset, count in _entries(place, start, length, f"{name} in {place}"):
                if _is_shown(inner):
                    index[f"{name.removesuffix('.tar')}/{inner}"] = offset, count
        elif _is_shown(name):
            index[_below(root, name)] = start, length
    return index


def _entries(place: Path, start: int, length: int, what: str) -> Iterator[tuple[str, int, int]]:
    """Name, absolute offset and size of each file of the tar that lies at `start` in `place`."""
    with place.open("rb") as stream:
        stream.seek(start)
        end = start
        try:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                while (info := archive.next()) is not None:
                    end = info.offset_data + -(-info.size // _BLOCK) * _BLOCK
                    if end > start + length:
                        raise tarfile.ReadError(f"{info.name} is cut off")
                    if info.isfile():
                        yield info.name.removeprefix("./"), info.offset_data, info.size
            stream.seek(end)
            if stream.read(_BLOCK).strip(b"\0") or end + _BLOCK > start + length:
                raise tarfile.ReadError("its end is missing")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DataError(f"{what} is truncated or not an uncompressed .tar archive ({error}): {_AGAIN}.") from None


def _below(root: str, name: str) -> str:
    return name.removeprefix("./").removeprefix(f"{root}/") if root else name.removeprefix("./")


def _is_shown(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)
