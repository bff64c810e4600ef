"""Answers kept on disk, one a sample and output, so that whoever asks the same sample again finds them."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from threading import Lock
from time import time
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.answer_log import (
    KEY_BYTES,
    Block,
    KeyIndex,
    Keys,
    Rows,
    block_at,
    block_bytes,
    blocks_from,
    rows_of_block,
)
from latentprint.core.files import write_atomically, writing
from latentprint.core.mirror import Mirror, mirror_of
from latentprint.core.samples import Samples

Places = NDArray[np.intp]
FOR_GOOD = "kept"  # label of what is never removed
_LOG, _INDEX = ".answers", ".index"
_UNINDEXED = 65_536  # answers of one log whose places are held in memory
_FULL_ANSWERS, _FULL_BYTES = 2**20, 2**32  # of one log, before the next is begun


def sample_digests(samples: Samples) -> Keys:
    """A digest of each sample's content, "S16" [B], of uint8 [B, H, W, 3] or float32 [B, F]."""
    kind = hashlib.sha256(f"{samples.dtype.str}{samples.shape[1:]}".encode())
    digests = []
    for sample in np.ascontiguousarray(samples):
        state = kind.copy()
        state.update(sample)
        digests.append(state.digest()[:KEY_BYTES])
    return np.array(digests, dtype=f"S{KEY_BYTES}")


def answer_keys(identity: str, output: str, digests: Keys) -> Keys:
    """What answers are kept under, "S16" [B]: the sample's digest, the endpoint's identity and the output's name."""
    prefix = hashlib.sha256(f"{identity} {output} ".encode())
    content = digests.tobytes()
    keys = []
    for start in range(0, len(content), KEY_BYTES):
        state = prefix.copy()
        state.update(content[start : start + KEY_BYTES])
        keys.append(state.digest()[:KEY_BYTES])
    return np.array(keys, dtype=f"S{KEY_BYTES}")


@dataclass
class _Tail:
    """What this process knows of a log beyond its index file."""

    start: int = 0
    end: int = 0
    blocks: list[Block] = field(default_factory=list)
    index: KeyIndex = field(default_factory=lambda: KeyIndex.of([], 0))


class AnswerStore:
    """Answers in `folder`, in logs to which one store each appends; all read all of them, also while they are written.

    What one call of `write` keeps is found whole or not at all, whatever is killed. A log's index is sorted by key and
    mapped into memory; only the last answers' places are held there.

    Args:
        folder: of the logs; made at the first write.
        label: of the logs that this store writes; what is kept under one label can be removed together.
    """

    def __init__(self, folder: Path, label: str = FOR_GOOD) -> None:
        self.folder, self.label = folder, label
        self._lock = Lock()
        self._tails: dict[Path, _Tail] = {}
        self._log: FileIO | None = None
        self._path = folder
        self._answers, self._unindexed = 0, 0
        self._shared: list[Path] = []

    def read(self, keys: Keys) -> Iterator[tuple[Places, Rows, float]]:
        """What is kept of `keys` ("S16" [B]): places in `keys`, answers float32 [found, ...], and when they were taken.

        A part at a time; damaged answers are left out.
        """
        missing = np.ones(len(keys), dtype=bool)
        logs = self._logs()
        with self._lock:
            self._tails = {path: tail for path, tail in self._tails.items() if path in logs}
        for path in logs:
            if not missing.any():
                return
            left = np.flatnonzero(missing)
            for places, rows, seconds in self._read_log(path, keys[left]):
                missing[left[places]] = False
                yield left[places], rows, seconds

    def write(self, answers: Mapping[str, tuple[Keys, Rows]]) -> None:
        """Keep answers by output: their keys "S16" [B] and float32 [B, ...]. Raises `DataError` without room."""
        seconds = time()
        content = b"".join(block_bytes(i, *one, seconds) for i, one in enumerate(answers.values()))
        mirror = mirror_of(self.folder)
        if mirror is not None:
            self._share(content, mirror)
            return
        with self._lock:
            log = self._opened()
            with writing(self._path):
                _append(log, content)
            added = sum(len(keys) for keys, _ in answers.values())
            self._answers, self._unindexed = self._answers + added, self._unindexed + added
            full = self._answers >= _FULL_ANSWERS or log.tell() >= _FULL_BYTES
            if full or self._unindexed >= _UNINDEXED:
                self._write_index()
            if full:
                self._close()

    def _share(self, content: bytes, mirror: Mirror) -> None:
        """Keep blocks here and in the storage, as a log of their own: nothing is appended to what a storage has."""
        path = self.folder / f"{self.label}-{uuid4().hex}{_LOG}"
        write_atomically(path, content)
        mirror.push(path)
        with self._lock:
            self._shared.append(path)

    def gather(self) -> None:
        """Where every write is a log of its own, in a storage: make one of those that this store wrote."""
        with self._lock:
            gathered, self._shared = self._shared, []
        mirror = mirror_of(self.folder)
        if mirror is None or not gathered:
            return
        self._share(b"".join(path.read_bytes() for path in gathered), mirror)
        with self._lock:
            self._shared.clear()
        for path in gathered:
            _remove(path)

    def answers(self, label: str = "") -> int:
        """Answers in logs whose labels begin with `label`."""
        return sum(self._count(path) for path in self._logs(label))

    def samples(self, label: str = "") -> int:
        """Samples of which answers were written, output by output or together, to logs with such labels."""
        return sum(_samples(path) for path in self._logs(label))

    def labels(self, label: str = "") -> set[str]:
        """Labels that there are, of those that begin with `label`."""
        return {path.stem.rpartition("-")[0] for path in self._logs(label)}

    def remove(self, label: str = "") -> None:
        """Forget what is in logs whose labels begin with `label`."""
        with self._lock:
            if self.label.startswith(label):
                self._close()
            for path in self._logs(label):
                _remove(path)

    def remove_since(self, seconds: float) -> None:
        """Forget what was kept later than `seconds` since the epoch. Only to be called when nobody writes."""
        for path in self._logs():
            with path.open("r+b") as log:
                blocks = blocks_from(log.fileno(), 0, os.fstat(log.fileno()).st_size)
                end = next((block.start for block in blocks if block.seconds > seconds), None)
                if end is not None:
                    path.with_suffix(_INDEX).unlink(missing_ok=True)
                    log.truncate(end)
            if (mirror := mirror_of(path)) is not None:
                mirror.push(path)

    def close(self) -> None:
        """Let go of the log that was written."""
        with self._lock:
            self._close()

    def _logs(self, label: str = "") -> list[Path]:
        return sorted(self.folder.glob(f"{label}*{_LOG}"))

    def _opened(self) -> FileIO:
        if self._log is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._path = self.folder / f"{self.label}-{uuid4().hex}{_LOG}"
            with writing(self._path):
                self._log = FileIO(self._path, "ab")
        return self._log

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
        self._log, self._answers, self._unindexed = None, 0, 0

    def _write_index(self) -> None:
        with self._path.open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            blocks = list(blocks_from(log.fileno(), 0, size))
        KeyIndex.of(blocks, blocks[-1].end).write(self._path.with_suffix(_INDEX))
        self._unindexed = 0

    def _read_log(self, path: Path, keys: Keys) -> Iterator[tuple[Places, Rows, float]]:
        try:
            log = path.open("rb")
        except FileNotFoundError:  # whoever wrote it has finished with it
            return
        with log:
            for index in self._indices(path, log.fileno()):
                yield from _read_found(log.fileno(), index, keys)

    def _indices(self, path: Path, log: int) -> tuple[KeyIndex, ...]:
        """The index file of a log, where there is one, and what came after it."""
        kept = KeyIndex.read(path.with_suffix(_INDEX))
        start, size = 0 if kept is None else kept.covered, os.fstat(log).st_size
        with self._lock:
            tail = self._tails.get(path)
            if tail is None or tail.start != start or tail.end > size:
                tail = self._tails[path] = _Tail(start, start)
            new = list(blocks_from(log, tail.end, size))
            if new:
                tail.blocks += new
                tail.end = new[-1].end
                tail.index = KeyIndex.of(tail.blocks, tail.end)
            return (tail.index,) if kept is None else (kept, tail.index)

    def _count(self, path: Path) -> int:
        try:
            with path.open("rb") as log:
                return sum(len(index.keys) for index in self._indices(path, log.fileno()))
        except FileNotFoundError:
            return 0


def _samples(path: Path) -> int:
    try:
        with path.open("rb") as log:
            blocks = blocks_from(log.fileno(), 0, os.fstat(log.fileno()).st_size)
            return sum(len(block.keys) for block in blocks if block.place == 0)
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    """Remove a log, here and in the storage where there is one."""
    path.unlink(missing_ok=True)
    path.with_suffix(_INDEX).unlink(missing_ok=True)
    if (mirror := mirror_of(path)) is not None:
        mirror.remove(path)


def _append(log: FileIO, content: bytes) -> None:
    """Write all of `content`, or leave the file as it was."""
    start = log.seek(0, os.SEEK_END)
    left = memoryview(content)
    try:
        while left:
            left = left[log.write(left) or 0 :]
    except OSError:
        log.truncate(start)
        raise


def _read_found(log: int, index: KeyIndex, keys: Keys) -> Iterator[tuple[Places, Rows, float]]:
    """What an index of an open log finds of `keys`, block by block."""
    found, starts, rows = index.find(keys)
    order = np.argsort(starts, kind="stable")
    for here in np.split(order, np.flatnonzero(np.diff(starts[order])) + 1):
        block = block_at(log, int(starts[here[0]])) if len(here) else None
        content = None if block is None else rows_of_block(log, block)
        if block is None or content is None:
            continue
        places, there = found[here], rows[here]
        right = block.keys[there] == keys[places]  # and not those of a log that was cut off and written anew
        yield places[right], content[there[right]], block.seconds
