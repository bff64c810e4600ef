"""What a run is doing, kept for whoever watches it: its tasks, how far they are, errors, and what was asked."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from latentprint.attack_engine.scheduling.task import ASKING, Task, TaskProgress

_log = logging.getLogger(__name__)

WAITING, RUNNING, FINISHED, FAILED = "waiting", "running", "finished", "failed"
STATES = (WAITING, RUNNING, FINISHED, FAILED)


@dataclass(frozen=True)
class AskedFigures:
    """What one endpoint was asked, over all runs on its ledger.

    Attributes:
        model: whom the endpoint belongs to: the audited model's name.
        side: "victim", or what the encoder is beside it.
        images: by signal and outcome ("sent", "answered", "cached", "retried").
        spent: images charged to its budget.
        left: images that may still be asked; None without a budget.
        current: whether the ledger could be read; else the figures are those from before.
    """

    model: str
    side: str
    images: Mapping[tuple[str, str], int] = field(default_factory=dict)
    spent: int = 0
    left: int | None = None
    current: bool = True


class Reader(Protocol):
    """Says what one endpoint was asked; safe to call from any thread."""

    def __call__(self) -> AskedFigures:
        """The figures now; once it is closed, the last."""
        ...

    def close(self) -> None:
        """Let go of where they come from."""
        ...


class RunStatus:
    """The state of one run, written by its scheduler and read from other threads.

    Args:
        watched: whether anybody reads what was asked; else nobody is kept who could say it.
    """

    def __init__(self, *, watched: bool = False) -> None:
        self._watched = watched
        self._lock = threading.Lock()
        self._tasks: Counter[tuple[str, str]] = Counter()
        self._progress: dict[str, TaskProgress] = {}
        self._errors: Counter[str] = Counter()
        self._readers: list[Reader] = []
        self._progressed = time.time()

    def moved(self, task: Task, state: str, before: str | None = None) -> None:
        """A task is in `state` now, and was in `before`; None where it is new."""
        with self._lock:
            if before is not None:
                self._tasks[task.limit, before] -= 1
            self._tasks[task.limit, state] += 1
            if state == FINISHED:
                self._progressed = time.time()
        if task.limit != ASKING:  # shards are many, and their bar says how far they are
            fields = {"task": task.title, "kind": task.limit, "state": state}
            _log.info("%s: %s", task.title, state, extra={"fields": fields})

    def ended_with(self, error: BaseException) -> None:
        """The run ended with an error."""
        with self._lock:
            self._errors[type(error).__name__] += 1

    def progress(self, title: str, state: TaskProgress) -> None:
        """The tasks of a title are so far, all together."""
        with self._lock:
            known = self._progress.get(title)
            if known is not None and state.done > known.done:
                self._progressed = time.time()
            self._progress[title] = state

    @contextmanager
    def watching(self, readers: Sequence[Reader]) -> Iterator[None]:
        """Ask `readers` too for what was asked, from any thread; what they say when the block ends is kept."""
        if not self._watched:
            yield
            return
        with self._lock:
            self._readers += readers
        try:
            yield
        finally:
            for reader in readers:
                reader.close()

    @property
    def tasks(self) -> dict[tuple[str, str], int]:
        """Their number by kind and state."""
        with self._lock:
            return dict(self._tasks)

    @property
    def titles(self) -> dict[str, TaskProgress]:
        """How far the tasks of each title are."""
        with self._lock:
            return dict(self._progress)

    @property
    def errors(self) -> dict[str, int]:
        """Their number by kind."""
        with self._lock:
            return dict(self._errors)

    @property
    def readers(self) -> list[Reader]:
        """Those that say what was asked."""
        with self._lock:
            return list(self._readers)

    @property
    def progressed(self) -> float:
        """When anything last came further, seconds since the epoch."""
        with self._lock:
            return self._progressed
