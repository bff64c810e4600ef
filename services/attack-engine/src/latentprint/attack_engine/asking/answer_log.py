"""One file of kept answers, to which one writer appends whole blocks, and the index beside it."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentprint.core.files import write_atomically

KEY_BYTES = 16
Keys = NDArray[np.bytes_]  # "S16" [B]: one key an answer
Rows = NDArray[np.float32]  # [B, ...]: answers of one shape
_MAGIC = b"lpblock1"
_HEAD = struct.Struct(
    "<8sIIIdQII"
)  # magic, place, answers, dimensions, seconds, bytes of rows, their CRC, CRC of the rest
_INDEX = struct.Struct("<QQ")  # bytes of the log that are covered, answers


@dataclass(frozen=True)
class Block:
    """Answers of one shape that were written together.

    Attributes:
        start: where the block is in its file, bytes.
        place: among the blocks that were written together, one an output.
        keys: "S16" [B].
        shape: of one answer.
        seconds: when it was written, since the epoch.
        rows_start: where the answers are in the file, bytes.
        rows_bytes: of all of them.
        checksum: of their bytes.
    """

    start: int
    place: int
    keys: Keys
    shape: tuple[int, ...]
    seconds: float
    rows_start: int
    rows_bytes: int
    checksum: int

    @property
    def end(self) -> int:
        """Where the next block begins."""
        return self.rows_start + self.rows_bytes


def block_bytes(place: int, keys: Keys, rows: Rows, seconds: float) -> bytes:
    """A block as it stands in a file: header, keys, then the answers, float32 [B, ...], bit for bit."""
    content = np.ascontiguousarray(rows, dtype="<f4").tobytes()
    described = np.array(rows.shape[1:], dtype="<u4").tobytes() + keys.astype(f"S{KEY_BYTES}").tobytes()
    head = (_MAGIC, place, len(keys), rows.ndim - 1, seconds, len(content), zlib.crc32(content))
    checksum = zlib.crc32(_HEAD.pack(*head, 0) + described)
    return _HEAD.pack(*head, checksum) + described + content


def blocks_from(file: int, start: int, size: int) -> Iterator[Block]:
    """Whole blocks of an open file from `start` up to `size`; ends at what a kill left unfinished."""
    while (block := block_at(file, start)) is not None and block.end <= size:
        yield block
        start = block.end


def block_at(file: int, start: int) -> Block | None:
    """The block that begins at `start`, its answers left unread; None where there is no whole header."""
    head = os.pread(file, _HEAD.size, start)
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return None
    *fields, checksum = _HEAD.unpack(head)
    _, place, count, dimensions, seconds, rows_bytes, rows_checksum = fields
    length = 4 * dimensions + KEY_BYTES * count
    described = os.pread(file, length, start + _HEAD.size)
    if len(described) < length or zlib.crc32(_HEAD.pack(*fields, 0) + described) != checksum:
        return None
    shape = np.frombuffer(described, dtype="<u4", count=dimensions)
    keys = np.frombuffer(described, dtype=f"S{KEY_BYTES}", offset=4 * dimensions)
    rows_start = start + _HEAD.size + length
    return Block(start, place, keys, tuple(shape.tolist()), seconds, rows_start, rows_bytes, rows_checksum)


def rows_of_block(file: int, block: Block) -> Rows | None:
    """A block's answers, float32 [B, ...]; None where they are damaged."""
    content = os.pread(file, block.rows_bytes, block.rows_start)
    if zlib.crc32(content) != block.checksum:
        return None
    return np.frombuffer(content, dtype="<f4").reshape(len(block.keys), *block.shape)


@dataclass(frozen=True)
class KeyIndex:
    """Where answers are, sorted by key; in memory, or mapped from the file beside a log.

    Attributes:
        keys: "S16" [N], sorted.
        starts: uint64 [N], the block that holds each.
        rows: uint32 [N], its row there.
        covered: bytes of the log that it knows of.
    """

    keys: Keys
    starts: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    covered: int

    @classmethod
    def of(cls, blocks: list[Block], covered: int) -> "KeyIndex":
        """The index of some blocks."""
        keys = np.concatenate([np.zeros(0, dtype=f"S{KEY_BYTES}"), *(block.keys for block in blocks)])
        starts = np.repeat(np.array([b.start for b in blocks], np.uint64), [len(b.keys) for b in blocks])
        rows = np.concatenate([np.zeros(0, np.uint32), *(np.arange(len(b.keys), dtype=np.uint32) for b in blocks)])
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], starts[order], rows[order], covered)

    @classmethod
    def read(cls, path: Path) -> "KeyIndex | None":
        """The index kept at `path`, mapped into memory; None where there is none that is whole."""
        try:
            with path.open("rb") as stream:
                covered, count = _INDEX.unpack(stream.read(_INDEX.size))
            content = np.memmap(path, dtype=np.uint8, mode="r")
        except (FileNotFoundError, struct.error, ValueError):
            return None
        if len(content) != _INDEX.size + count * (KEY_BYTES + 12):
            return None
        parts = np.split(content[_INDEX.size :], [KEY_BYTES * count, (KEY_BYTES + 8) * count])
        return cls(parts[0].view(f"S{KEY_BYTES}"), parts[1].view("<u8"), parts[2].view("<u4"), covered)

    def write(self, path: Path) -> None:
        """Keep it at `path`, in one step."""
        parts = [self.keys.tobytes(), self.starts.astype("<u8").tobytes(), self.rows.astype("<u4").tobytes()]
        write_atomically(path, _INDEX.pack(self.covered, len(self.keys)) + b"".join(parts))

    def find(self, keys: Keys) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.uint32]]:
        """Which of `keys` [B] it knows: their places in `keys`, their blocks and rows, each [found]."""
        if not len(self.keys):
            none = np.zeros(0, dtype=np.intp)
            return none, none.astype(np.uint64), none.astype(np.uint32)
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        found = np.flatnonzero(self.keys[place] == keys)
        return found, self.starts[place[found]], self.rows[place[found]]
