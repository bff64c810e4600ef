"""64 reference models of a small victim: side by side on two cores against one after another in one process."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from latentprint.attack_engine.models.reference_job import AssumedTraining, SampleSet, TrainedReferenceJob
from latentprint.attack_engine.scheduling.scheduler import make
from latentprint.attack_engine.scheduling.task import MAKING
from latentprint.attack_engine.scheduling.workers import ray_session
from latentprint.core.datasets import DatasetSpec

_COUNT, _CORES, _TARGET = 64, 2, 1.6
_BASKETS = DatasetSpec("baskets", {"count": 2000})
_MEMBERS = 500
_TRAINING = AssumedTraining(
    "supervised",
    {"architecture": "mlp", "crop_scale_from": 1.0, "flip": 0.0},
    40,
    (),
    _MEMBERS,
    np.zeros(0, dtype=np.int64),
)


def main() -> None:
    """Print `ratio reference_rate VALUE (target >= 1.6)`; workers that have started, and opened the data, are timed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ray_session(_CORES):
            _together(_works(folder / "warm-up", _CORES))
            together = _seconds(_together, _works(folder / "together", _COUNT))
        _one_by_one(_works(folder / "first", 1))
        alone = _seconds(_one_by_one, _works(folder / "alone", _COUNT))
    print(f"{_COUNT} references: {alone:.1f} s one after another, {together:.1f} s on {_CORES} cores")
    print(f"ratio reference_rate {alone / together:.2f} (target >= {_TARGET})")


def _works(folder: Path, count: int) -> list[TrainedReferenceJob]:
    pool = SampleSet(_BASKETS, np.arange(2 * _MEMBERS))
    return [TrainedReferenceJob("references", n, _TRAINING, pool, (pool,), 0, folder) for n in range(count)]


def _together(works: list[TrainedReferenceJob]) -> None:
    make(works, {MAKING: _CORES}, Console(quiet=True))


def _one_by_one(works: list[TrainedReferenceJob]) -> None:
    for work in works:
        work.make()


def _seconds(make: Callable[[list[TrainedReferenceJob]], None], works: list[TrainedReferenceJob]) -> float:
    start = time.perf_counter()
    make(works)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
