"""A folder of this machine and the storage that other machines share: what lies in one has its place in the other.

Where a folder is mirrored, whoever keeps something in it tells so with `mirror_of`; where none is, nothing is told, and
everything stays on this machine's disk.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import TypeVar
from uuid import uuid4

from latentprint.core.digests import digest_json
from latentprint.core.storage import Storage, Stored

SCRATCH = "LATENTPRINT_SCRATCH"  # names the folder for copies; the system's for temporary files without it
_RUNS = "runs"  # beside it in the storage: data, ledgers
_WHOLE = ".whole"  # says that all files of a folder are there
_OWN = (".sqlite", ".sqlite-wal", ".sqlite-shm")  # of one machine alone
_AT_ONCE = 16  # files that travel side by side
_Stamp = tuple[int, int, int]  # of a file: inode, bytes, time of change
_T = TypeVar("_T")


class Mirror:
    """Copies files between a folder and a storage when it is told to; safe between threads.

    A *place* is a path below the folder: a file, a folder with all below it, or, with a * in its name, the files of one
    folder that match.

    Args:
        root: the folder.
        storage: what it mirrors.
    """

    def __init__(self, root: Path, storage: Storage) -> None:
        self.root, self.storage = root, storage
        self._absolute = root.absolute()
        self._seen: dict[str, _Stamp] = {}  # by key: files that both have, as they are here
        self._lock = Lock()

    def holds(self, path: Path) -> bool:
        """Whether a path lies below the folder."""
        return path.is_relative_to(self.root) or path.is_relative_to(self._absolute)

    def relative(self, path: Path) -> Path:
        """A path as seen from the folder. Raises `ValueError` for one that does not lie below it."""
        return path.relative_to(self.root if path.is_relative_to(self.root) else self._absolute)

    def pull(self, place: Path) -> None:
        """Bring here what the storage has of a place, where it is missing here or was written at another time."""
        listed = self.storage.listed(self._key(place))
        missing = []
        for key, stored in listed.items():
            if _is_as(self._local(key), stored):
                self._note(key)
            else:
                missing.append(key)
        for_all(self._bring, missing)

    def push(self, place: Path) -> None:
        """Bring to the storage what changed here of a place; what both had and is gone here goes there."""
        here = {self._key(path): path for path in _files(place)}
        with self._lock:
            changed = [key for key, path in here.items() if self._seen.get(key) != _stamp(path)]
            gone = [key for key in self._seen if key not in here and _is_part(self._local(key), self._here(place))]
        for_all(self._keep, changed)
        for_all(self._drop, gone)

    def pull_whole(self, place: Path) -> bool:
        """Bring here a file, or a folder that was pushed whole; returns whether it is here. What is here stays.

        A folder comes whole or not at all.
        """
        key = self._key(place)
        if place.exists() or self.storage.fetch(key, place):
            return True
        if self.storage.find(f"{key}{_WHOLE}") is None:
            return False
        draft = place.with_name(f".{place.name}.{os.getpid()}.{uuid4().hex[:8]}")
        try:
            names = [name.removeprefix(f"{key}/") for name in self.storage.listed(key)]
            for_all(lambda name: self.storage.fetch(f"{key}/{name}", draft / name), names)
            if not place.exists():  # another process may have brought it meanwhile
                draft.replace(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    def push_whole(self, place: Path) -> None:
        """Bring to the storage a file or folder that changes no more, for `pull_whole` to find all of it or nothing."""
        key = self._key(place)
        if self.storage.find(f"{key}{_WHOLE}" if place.is_dir() else key) is not None:
            return
        for_all(self._keep, [self._key(path) for path in _files(place)])
        if place.is_dir():
            self.storage.write(f"{key}{_WHOLE}", b"")

    def forget(self, place: Path) -> None:
        """Remove from the storage all that it has of a place."""
        key = self._key(place)
        for_all(self._drop, [*self.storage.listed(key), f"{key}{_WHOLE}"])

    def remove(self, path: Path) -> None:
        """Remove one file from the storage, where it has that."""
        self._drop(self._key(path))

    def _key(self, place: Path) -> str:
        return f"{_RUNS}/{self.relative(place).as_posix()}"

    def _local(self, key: str) -> Path:
        return self.root / key.removeprefix(f"{_RUNS}/")

    def _here(self, place: Path) -> Path:
        return self.root / self.relative(place)

    def _note(self, key: str) -> None:
        stamp = _stamp(self._local(key))
        if stamp is not None:
            with self._lock:
                self._seen[key] = stamp

    def _bring(self, key: str) -> None:
        if self.storage.fetch(key, self._local(key)):
            self._note(key)

    def _keep(self, key: str) -> None:
        if key in self._seen:  # another process of this machine may have brought it, and dated it
            stored = self.storage.find(key)
            if stored is not None and _is_as(self._local(key), stored):
                self._note(key)
                return
        try:
            stamp = self.storage.keep(self._local(key), key, dated=True)
        except FileNotFoundError:  # whoever made it has removed it since
            return
        with self._lock:
            self._seen[key] = stamp

    def _drop(self, key: str) -> None:
        self.storage.remove(key)
        with self._lock:
            self._seen.pop(key, None)


_MIRRORS: dict[Path, Mirror] = {}  # of this process, by root


def mirror_of(path: Path) -> Mirror | None:
    """The mirror of the folder that a path lies below; None where this machine's disk is all that there is."""
    return next((mirror for mirror in _MIRRORS.values() if mirror.holds(path)), None)


def register(mirror: Mirror) -> Mirror:
    """Have `mirror_of` find it, from now on until this process ends; returns the one of this root and storage."""
    there = _MIRRORS.get(mirror.root)
    if there is None or there.storage != mirror.storage:
        there = _MIRRORS[mirror.root] = mirror
    return there


def scratch(storage: Storage) -> Mirror:
    """The copy on this machine of what is needed of a storage, by all processes that work for others here."""
    place = Path(os.environ.get(SCRATCH) or Path(tempfile.gettempdir()) / f"latentprint-{os.getuid()}")
    return register(Mirror(place / digest_json(storage.url)[:16], storage))


@contextmanager
def mirrored(root: Path, url: str) -> Iterator[Mirror | None]:
    """Mirror `root` by the storage at `url` until the block ends; without a URL nothing is mirrored.

    Raises:
        UsageError: a URL that is none.
        DataError: a storage that cannot be written to.
    """
    if not url:
        yield None
        return
    storage = Storage(url)
    storage.check()
    try:
        yield register(Mirror(root, storage))
    finally:
        _MIRRORS.pop(root, None)


def _files(place: Path) -> Iterator[Path]:
    """The files of a place that are here, drafts and what is this machine's own left out."""
    if "*" in place.name:
        found: Iterable[Path] = place.parent.glob(place.name)
    else:
        found = place.rglob("*") if place.is_dir() else [place]
    for path in found:
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(_OWN):
            yield path


def _is_part(path: Path, place: Path) -> bool:
    if "*" in place.name:
        return path.parent == place.parent and fnmatchcase(path.name, place.name)
    return path.is_relative_to(place)


def _is_as(path: Path, stored: Stored) -> bool:
    stamp = _stamp(path)
    return stamp is not None and stamp[1:] == (stored.size, stored.written)


def _stamp(path: Path) -> _Stamp | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def for_all(do: Callable[[_T], object], items: Iterable[_T]) -> None:
    """Do it for all of them, some side by side. Raises what the first that fails does."""
    items = list(items)
    if len(items) < 2:
        for item in items:
            do(item)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
        for _ in pool.map(do, items):
            pass
