"""Prepared files of binary vectors, "label,bit,bit,..." a line, as the literature shares them."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Vectors
from latentprint.core.errors import DataError

_LINES = 4096


@dataclass(frozen=True)
class Prepared:
    """What a prepared file should be.

    Attributes:
        what: it in words, for error messages.
        names: what it may be called in a folder or an archive, the preferred one first.
        features: bits of a line.
        classes: labels run from 1 to this.
    """

    what: str
    names: tuple[str, ...]
    features: int
    classes: int


def read_prepared(place: Path, prepared: Prepared) -> tuple[Vectors, NDArray[np.int64]]:
    """Read a prepared text file, or the one in a .tgz (.tar.gz, .tar).

    Returns:
        Vectors, float32 [N, features] of zeros and ones, and classes, int64 [N], from 0.

    Raises:
        DataError: a truncated or foreign file, by name and line.
    """
    vectors, labels, line = [], [], 1
    with _opened(place, prepared) as stream:
        while lines := list(islice(stream, _LINES)):
            table = _parsed(lines, f"{place}, lines {line} to {line + len(lines) - 1}", prepared)
            vectors.append(table[:, 1:].astype(np.float32))
            labels.append(table[:, 0] - 1)
            line += len(lines)
    if not vectors:
        raise DataError(f"{place} is empty: it should hold {prepared.what}.")
    return np.concatenate(vectors), np.concatenate(labels)


def _parsed(lines: Sequence[bytes], where: str, prepared: Prepared) -> NDArray[np.int64]:
    """Labels and bits, int64 [lines, 1 + features]."""
    kept = [stripped for line in lines if (stripped := line.replace(b'"', b"").strip())]
    wrong = DataError(f"{where}: these should hold {prepared.what}: a label and {prepared.features} bits a line.")
    if any(line.count(b",") != prepared.features for line in kept):
        raise wrong
    text = b",".join(kept)
    if text.translate(None, b"0123456789,") or b",," in text or text.startswith(b",") or text.endswith(b","):
        raise wrong
    table = np.fromstring(text.decode(), dtype=np.int64, sep=",").reshape(-1, 1 + prepared.features)
    if (table[:, 1:] > 1).any() or ((table[:, 0] < 1) | (table[:, 0] > prepared.classes)).any():
        raise wrong
    return table


@contextmanager
def _opened(place: Path, prepared: Prepared) -> Iterator[Iterator[bytes]]:
    """The lines of the file; whatever shows that its archive is damaged becomes a `DataError`."""
    try:
        if not tarfile.is_tarfile(place):
            with place.open("rb") as stream:
                yield stream
            return
        with tarfile.open(place) as archive:
            yield _member(archive, place, prepared)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{place} is truncated or cannot be read ({error}): fetch it again.") from None


def _member(archive: tarfile.TarFile, place: Path, prepared: Prepared) -> IO[bytes]:
    for info in archive:
        if info.isfile() and Path(info.name).name in prepared.names:
            stream = archive.extractfile(info)
            if stream is not None:
                return stream
    raise DataError(f"{place} lacks {' or '.join(prepared.names)}: it is not the archive of {prepared.what}.")
