"""Canaries: generated samples that are asked again, and when their answers are those of another model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from latentprint.core.files import write_atomically
from latentprint.core.samples import Samples, is_vector

FLOOR = 1e-3  # relative: fp32 answers change by 5e-7 with the batch that they travel in, reduced precision by more
MARGIN = 4.0  # bf16 answers change by 0.5 to 0.8 %; what two askings at once differ by is multiplied by this
LARGEST = 0.5  # answers that change by as much as this between two askings cannot tell one model from another
_SEED, _CELLS = 20_240_731, 8


def canary_samples(count: int, sample_shape: tuple[int, ...]) -> Samples:
    """The same for every run: uint8 [C, H, W, 3] of coloured patches, or float32 [C, F] in [0, 1]."""
    rng = np.random.default_rng([_SEED, *sample_shape])
    if is_vector(sample_shape):
        return rng.random((count, *sample_shape), dtype=np.float32)
    patches = rng.integers(0, 256, (count, _CELLS, _CELLS, 3), dtype=np.uint8)
    rows, columns = (np.arange(side) * _CELLS // side for side in sample_shape[:2])
    return np.ascontiguousarray(patches[:, rows][:, :, columns])


@dataclass(frozen=True)
class KeptCanaries:
    """What the canaries were answered, by how much two askings at once differed, and when (seconds since the epoch)."""

    answer: NDArray[np.float32]
    spread: float
    when: float = 0.0

    @classmethod
    def read(cls, path: Path) -> "KeptCanaries | None":
        """What is kept at `path`; None where nothing is, or nothing whole."""
        try:
            found = load_file(path)
            return cls(found["answer"], float(found["spread"][0]), path.stat().st_mtime)
        except (FileNotFoundError, SafetensorError):
            return None

    def write(self, path: Path) -> None:
        """Keep it at `path`, with the time. Raises `DataError` without room."""
        arrays = {"answer": np.ascontiguousarray(self.answer), "spread": np.array([self.spread], dtype=np.float32)}
        write_atomically(path, save(arrays))

    @property
    def tolerance(self) -> float:
        """Relative difference that is no change of the model."""
        return max(FLOOR, MARGIN * self.spread)

    @property
    def steady(self) -> bool:
        """Whether answers are steady enough to tell models apart."""
        return MARGIN * self.spread < LARGEST

    def agrees(self, answer: NDArray[np.float32]) -> bool:
        """Whether `answer` is the kept one but for noise."""
        return difference(answer, self.answer) <= self.tolerance


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest relative difference over samples [C, ...], in the Euclidean norm; infinite between other shapes."""
    if one.shape != other.shape:
        return float("inf")
    a, b = (answers.reshape(len(answers), -1).astype(np.float64) for answers in (one, other))
    norm = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    apart = np.linalg.norm(a - b, axis=1)
    return float(np.divide(apart, norm, out=np.zeros_like(apart), where=norm != 0).max())
