"""How far a training is: a record, written about once a second for a parent process to read."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from latentprint.core.files import write_atomically

State = Literal["training", "interrupted", "finished"]


@dataclass(frozen=True)
class Progress:
    """A training at one moment.

    Attributes:
        state: "training", "interrupted" or "finished".
        epoch: whole epochs done.
        epochs: epochs to do, a defence's early stop included.
        images: images seen, over all runs.
        images_total: images to see.
        images_per_second: over this run's training steps so far.
        seconds_left: estimate from that, None before the first step.
        loss: mean loss of the last whole epoch, None in the first.
        knn_accuracy: last known, as a fraction.
    """

    state: State
    epoch: int
    epochs: int
    images: int
    images_total: int
    images_per_second: float
    seconds_left: float | None
    loss: float | None = None
    knn_accuracy: float | None = None


OnProgress = Callable[[Progress], None]


def read_progress(path: Path) -> Progress | None:
    """Read a progress.json; None where there is none yet."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


class Reporter:
    """Passes progress on to a file and a callback, at most once every `interval` seconds unless told to."""

    def __init__(self, path: Path, on_progress: OnProgress | None, interval: float = 1.0) -> None:
        self._path = path
        self._on_progress = on_progress
        self._interval = interval
        self._last = float("-inf")

    def due(self) -> bool:
        """Whether `interval` has passed since the last report."""
        return time.monotonic() - self._last >= self._interval

    def report(self, progress: Progress) -> None:
        """Report now."""
        self._last = time.monotonic()
        write_atomically(self._path, json.dumps(asdict(progress)).encode())
        if self._on_progress is not None:
            self._on_progress(progress)
