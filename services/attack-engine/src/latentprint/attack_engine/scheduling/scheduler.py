"""Tasks in the order of what they need, as many side by side as there is room for.

Ray keeps its worker processes, with all that they imported, from one task to the next, whatever kind they are of.
"""

import signal as signals
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from latentprint.attack_engine.scheduling.bars import Bars, shown
from latentprint.attack_engine.scheduling.status import FAILED, RUNNING, RunStatus
from latentprint.attack_engine.scheduling.task import ASKING, Task
from latentprint.attack_engine.scheduling.workers import RayWorkers, TaskWorkers
from latentprint.core.errors import Interrupted

_POLL_SECONDS = 0.25
_STOP_SECONDS = 30.0
_STOPPED = "Stopped; what was done is kept, a training up to its checkpoint: run the same command again to go on."


class Scheduler:
    """Has tasks made by workers, whose session is open.

    Args:
        limits: how many tasks of each kind run side by side, the kind that comes first foremost; the largest limit
            bounds all of them together, so that one number of cores is kept busy whatever there is to do.
        console: where progress is shown.
        stopped: what Ctrl-C ends with.
        workers: who makes the tasks.
        status: told what is done, for whoever watches.
    """

    def __init__(
        self,
        limits: Mapping[str, int],
        console: Console,
        stopped: str = _STOPPED,
        workers: TaskWorkers | None = None,
        status: RunStatus | None = None,
    ) -> None:
        self._limits = limits
        self._status = status or RunStatus()
        self._workers = workers or RayWorkers()
        self._console = console
        self._stopped = stopped
        self._waiting: dict[str, Task] = {}
        self._running: dict[Any, Task] = {}
        self._finished: set[str] = set()
        self._steps: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    def add(self, tasks: Iterable[Task]) -> None:
        """Have `tasks` made, and before them what they need; what is finished, or was added before, is left alone."""
        for task in tasks:
            if task.key in self._waiting or task.key in self._finished:
                continue
            if any(task.key == other.key for other in self._running.values()):
                continue
            # What is asked was planned from all that the storage has of it: no look at it for every shard.
            if task.finished or (task.limit != ASKING and self._workers.is_finished(task)):
                self._finished.add(task.key)
                continue
            self.add(task.needs)
            self._waiting[task.key] = task

    def when(self, tasks: Iterable[Task], then: Callable[[], None]) -> None:
        """Have `tasks` made, then call `then` in this process; it may add more."""
        tasks = list(tasks)
        self.add(tasks)
        keys = {task.key for task in tasks}
        self.until(lambda: keys <= self._finished, then)

    def until(self, ready: Callable[[], bool], then: Callable[[], None]) -> None:
        """Call `then` in this process once `ready` is true; it is asked again and again."""
        self._steps.append((ready, then))

    def run(self) -> None:
        """Make everything that was added, and what is added meanwhile.

        Raises:
            Interrupted: on Ctrl-C or SIGTERM, after every training has saved its checkpoint.
            LatentprintError: whatever a task ran into, after the others that ran were stopped in the same way.
        """
        with shown(self._console, self._status) as bars, _terminable():
            try:
                while self._steps or self._waiting or self._running:
                    self._take_steps()
                    self._start(bars)
                    self._collect(bars)
            except KeyboardInterrupt:
                raise Interrupted(self._stopped) from None
            finally:
                self._stop()

    def _take_steps(self) -> None:
        """Go on with what is ready, until nothing is."""
        while True:
            ready = [step for step in self._steps if step[0]()]
            if not ready:
                return
            for step in ready:
                self._steps.remove(step)
                step[1]()

    def _start(self, bars: Bars) -> None:
        """Start what can be, foremost kinds first."""
        for task in self._waiting.values():
            bars.add(task)
        counts = Counter(task.limit for task in self._running.values())
        for kind, limit in self._limits.items():
            for task in [task for task in self._waiting.values() if task.limit == kind]:
                if counts[kind] >= limit or counts.total() >= max(self._limits.values()):
                    break
                if all(need.key in self._finished for need in task.needs):
                    del self._waiting[task.key]
                    bars.start(task)
                    self._running[self._workers.start(task, limit)] = task
                    counts[kind] += 1

    def _collect(self, bars: Bars) -> None:
        """Wait a moment for what runs. Raises a task's own error."""
        if not self._running:
            threading.Event().wait(_POLL_SECONDS if self._steps else 0.0)
            return
        for handle, error in self._workers.wait(list(self._running), _POLL_SECONDS):
            task = self._running.pop(handle)
            if error is not None:
                self._status.moved(task, FAILED, RUNNING)
                raise error
            self._workers.is_finished(task)
            self._finished.add(task.key)
            bars.finish(task)
        bars.update(self._running.values(), self._workers.progress)

    def _stop(self) -> None:
        """Stop what runs: a training saves its checkpoint."""
        self._workers.stop(list(self._running), _STOP_SECONDS)
        self._running.clear()


def make(
    tasks: Iterable[Task], limits: Mapping[str, int], console: Console, workers: TaskWorkers | None = None
) -> None:
    """Have `tasks` and what they need made by workers whose session is open. Errors: `Scheduler.run`."""
    scheduler = Scheduler(limits, console, workers=workers)
    scheduler.add(tasks)
    scheduler.run()


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signals.signal(signals.SIGTERM, signals.default_int_handler)
    try:
        yield
    finally:
        signals.signal(signals.SIGTERM, before)
