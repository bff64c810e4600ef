"""What is to be logged to one run, kept on disk until the store has it."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from latentprint.core.digests import digest_json
from latentprint.core.errors import DataError
from latentprint.core.files import locked, write_atomically, writing

_ADDRESS, _LINES, _SENT, _FILES = "run.json", "entries.jsonl", "sent", "files"
_PACE_SECONDS = 10.0  # each time costs a database several commits, on the core that trains
OPEN, PARAMS, METRICS, TAGS, END = "open", "params", "metrics", "tags", "end"
FILE, DATASET, MODEL = "file", "dataset", "model"
_WITH_FILES = (FILE, MODEL)
FINISHED = "FINISHED"
KEY_TAG = "latentprint.key"


@dataclass(frozen=True)
class Address:
    """Which run of which store: names and keys from the experiment down.

    Attributes:
        uri: of the store.
        experiment: its name.
        artifacts: where the files of an experiment made here lie, as a URI; "" where the store has a place of its own.
        lineage: name and key of every run from the outermost one to this one.
        started: when each of these began, milliseconds since 1970: a run that is made later in the store still says so.
        user: who started the outermost one.
        source: the command that did.
    """

    uri: str
    experiment: str
    artifacts: str
    lineage: tuple[tuple[str, str], ...]
    started: tuple[int, ...] = ()
    user: str = ""
    source: str = ""

    @property
    def digest(self) -> str:
        """What tells runs apart: the store, the experiment and the keys; names are for people."""
        return digest_json([self.uri, self.experiment, [key for _, key in self.lineage]])

    @property
    def store(self) -> str:
        """The store's URI to show, without a password."""
        return without_password(self.uri)

    @property
    def local(self) -> bool:
        """Whether the store is a database of this machine, which may point at files where they lie."""
        return bool(self.artifacts)

    def child(self, name: str, key: str, started: int) -> "Address":
        """The address of a run below this one that began at `started`, milliseconds since 1970."""
        return replace(self, lineage=(*self.lineage, (name, key)), started=(*self.started, started))


@dataclass(frozen=True)
class JournalEntry:
    """One thing to log: what it is, its content, and where in the journal the next one starts (bytes)."""

    kind: str
    content: Mapping[str, Any]
    end: int


class Journal:
    """The entries of one run below `unsent`, the folder of all journals; several processes may write to it.

    Args:
        unsent: the folder of all journals.
        address: of the run.
    """

    def __init__(self, unsent: Path, address: Address) -> None:
        self.address = address
        self.folder = unsent / address.digest[:32]
        self._lock = unsent / ".lock"

    def append(self, kind: str, content: Mapping[str, Any]) -> None:
        """Keep an entry. Raises `DataError` where the disk does not take it."""
        line = json.dumps([kind, content]).encode() + b"\n"
        with writing(self.folder), locked(self._lock):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the store's URI may hold a password
            if not (self.folder / _ADDRESS).exists():
                write_atomically(self.folder / _ADDRESS, json.dumps(asdict(self.address)).encode())
            with (self.folder / _LINES).open("a+b") as stream:
                stream.write(_break_after_torn(stream) + line)

    def keep_file(self, source: Path) -> Path:
        """A copy of the file or folder `source` that stays until it is sent."""
        kept = self.folder / _FILES / uuid4().hex / source.name
        with writing(kept):
            kept.parent.mkdir(parents=True)
            if source.is_dir():
                shutil.copytree(source, kept)
            else:
                shutil.copyfile(source, kept)
        return kept

    def keep_text(self, text: str, name: str) -> Path:
        """A file `name` that holds `text`, and stays until it is sent."""
        kept = self.folder / _FILES / uuid4().hex / name
        write_atomically(kept, text.encode())
        return kept

    def pending(self) -> Iterator[JournalEntry]:
        """Entries that are not sent, in order. What a killed writer left half-written is passed over."""
        try:
            with (self.folder / _LINES).open("rb") as stream:
                stream.seek(self._sent())
                lines = stream.read().splitlines(keepends=True)
        except FileNotFoundError:
            return
        end = self._sent()
        for line in lines:
            end += len(line)
            try:
                kind, content = json.loads(line)
            except ValueError:
                continue
            yield JournalEntry(kind, content, end)

    @property
    def finished(self) -> bool:
        """Whether the run's last word is here, unsent, and is that it finished."""
        return any(entry.kind == END and entry.content["status"] == FINISHED for entry in self.pending())

    @property
    def due(self) -> bool:
        """Whether something was sent long enough ago to send again."""
        try:
            return time.time() - (self.folder / _SENT).stat().st_mtime > _PACE_SECONDS
        except FileNotFoundError:
            return True

    def mark_sent(self, entry: JournalEntry) -> None:
        """Remember that the store has `entry` and all before it."""
        if entry.kind in _WITH_FILES and entry.content["path"]:
            shutil.rmtree(Path(entry.content["path"]).parent, ignore_errors=True)
        write_atomically(self.folder / _SENT, str(entry.end).encode())

    def tidy(self) -> None:
        """Remove the journal, if all of it is sent."""
        with locked(self._lock):
            lines = self.folder / _LINES
            if lines.exists() and lines.stat().st_size == self._sent():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _sent(self) -> int:
        try:
            return int((self.folder / _SENT).read_text())
        except FileNotFoundError:
            return 0


def without_password(uri: str) -> str:
    """`uri` without the user and password that may stand before its host."""
    return re.sub(r"//[^/@]*@", "//", uri, count=1)


def journals(unsent: Path) -> Iterator[Journal]:
    """The journals below `unsent` with something to send, oldest first.

    Raises:
        DataError: a journal's address cannot be read.
    """
    for path in sorted(unsent.glob(f"*/{_ADDRESS}"), key=lambda path: path.stat().st_mtime_ns):
        try:
            content = json.loads(path.read_bytes())
            lineage = tuple((str(name), str(key)) for name, key in content.pop("lineage"))
            started = tuple(map(int, content.pop("started", ())))
            journal = Journal(unsent, Address(lineage=lineage, started=started, **content))
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path} is damaged: delete {path.parent}, whose run cannot be logged.") from None
        if any(journal.pending()):
            yield journal


def _break_after_torn(stream: IO[bytes]) -> bytes:
    """A line break where a killed writer left the last line without one."""
    size = stream.seek(0, os.SEEK_END)
    if not size:
        return b""
    stream.seek(size - 1)
    return b"" if stream.read(1) == b"\n" else b"\n"
