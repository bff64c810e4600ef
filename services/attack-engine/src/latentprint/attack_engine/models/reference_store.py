"""Reference models' logits, on disk: one small file a reference."""

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.types import ReferenceScores
from latentprint.core.datasets import Ids
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically


@dataclass(frozen=True)
class ReferenceLogits:
    """One reference's logits on some samples of one data set.

    Attributes:
        sample_id: int64 [S].
        phi: float32 [S].
        inside: bool [S], whether it was trained on the sample.
    """

    sample_id: Ids
    phi: NDArray[np.float32]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class ReferenceStore:
    """The folder of one set of references; its models are numbered from 0, and more may be added later."""

    folder: Path

    def path(self, reference: int) -> Path:
        """Where a reference's file lies."""
        return self.folder / f"reference-{reference:04d}.npz"

    def has(self, reference: int) -> bool:
        """Whether a reference's file is there."""
        return self.path(reference).exists()

    def write(self, reference: int, logits: dict[str, ReferenceLogits]) -> None:
        """Keep a reference's logits, by the digest of the samples' data set. Raises `DataError` without room."""
        arrays = {
            f"{digest}.{name}": getattr(one, name)
            for digest, one in logits.items()
            for name in ("sample_id", "phi", "inside")
        }
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(self.path(reference), buffer.getvalue())

    def read(self, count: int, dataset_digest: str, sample_ids: Ids) -> ReferenceScores:
        """The first `count` references' logits on `sample_ids` (int64 [S]) of one data set.

        Raises:
            DataError: a missing or damaged file, or a sample that no reference was asked about.
        """
        read = [self._read(reference, dataset_digest) for reference in range(count)]
        rows = [_rows(one, sample_ids, self.folder) for one in read]
        return ReferenceScores(
            np.stack([one.phi[row] for one, row in zip(read, rows, strict=True)]),
            np.stack([one.inside[row] for one, row in zip(read, rows, strict=True)]),
        )

    def _read(self, reference: int, digest: str) -> ReferenceLogits:
        path = self.path(reference)
        try:
            with np.load(path, allow_pickle=False) as content:
                return ReferenceLogits(*(content[f"{digest}.{name}"] for name in ("sample_id", "phi", "inside")))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(f"{path} is missing or damaged ({error}): remove it, and it is made again.") from None


def _rows(logits: ReferenceLogits, sample_ids: Ids, folder: Path) -> NDArray[np.int64]:
    order = np.argsort(logits.sample_id)
    place = np.searchsorted(logits.sample_id, sample_ids, sorter=order).clip(max=len(order) - 1)
    rows: NDArray[np.int64] = order[place]
    if (logits.sample_id[rows] != sample_ids).any():
        raise DataError(f"The references in {folder} were not asked about all of the samples: remove the folder.")
    return rows
