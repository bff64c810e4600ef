"""How far tasks are: on a terminal bars, elsewhere a line now and then."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from latentprint.attack_engine.scheduling.status import FINISHED, RUNNING, WAITING, RunStatus
from latentprint.attack_engine.scheduling.task import Task, TaskProgress
from latentprint.core.telemetry.logs import JsonConsole
from latentprint.core.text import printable, say

_LINE_SECONDS = 10.0


@dataclass
class _Bar:
    """The tasks of one title."""

    place: TaskID
    tasks: dict[str, TaskProgress] = field(default_factory=dict)
    before: float = 0.0  # units that were done when the bar came up
    began: float = 0.0
    shown: str = ""

    def state(self) -> TaskProgress:
        """All its tasks together."""
        parts = list(self.tasks.values())
        totals = [part.total for part in parts if part.total is not None]
        total = sum(totals) if len(totals) == len(parts) else None
        return TaskProgress(sum(part.done for part in parts), total, parts[0].unit)

    def rate(self, state: TaskProgress) -> str:
        """Units a second since it began."""
        elapsed = time.monotonic() - self.began
        if not state.unit or not self.began or elapsed <= 0:
            return ""
        return f"{(state.done - self.before) / elapsed:,.1f} {state.unit}/s"


class Bars:
    """A bar a title, with its rate and the time left; `status` is told what is shown."""

    def __init__(self, progress: Progress, console: Console, status: RunStatus) -> None:
        self._progress = progress
        self._console = console
        self._status = status
        self._bars: dict[str, _Bar] = {}
        self._last_line = time.monotonic()

    def add(self, task: Task) -> None:
        """A task that will be made."""
        if task.title not in self._bars:
            self._bars[task.title] = _Bar(self._progress.add_task(printable(task.title), total=None, rate=""))
        tasks = self._bars[task.title].tasks
        if task.key not in tasks:
            tasks[task.key] = task.progress()
            self._status.moved(task, WAITING)

    def start(self, task: Task) -> None:
        """A task that runs from now on; rates count from the first of its title."""
        bar = self._bars[task.title]
        self._status.moved(task, RUNNING, WAITING)
        if not bar.began:
            bar.began, bar.before = time.monotonic(), bar.state().done

    def finish(self, task: Task) -> None:
        """A task that is done."""
        bar = self._bars[task.title]
        state = bar.tasks[task.key] if bar.tasks[task.key].total is not None else task.progress()
        total = state.total if state.total is not None else max(state.done, 1.0)
        bar.tasks[task.key] = TaskProgress(total, total, state.unit)
        self._status.moved(task, FINISHED, RUNNING)
        self._show(task.title, bar)
        whole = bar.state()
        if not self._console.is_terminal and whole.done == whole.total:
            self._line(task.title, bar)

    def update(self, running: Iterable[Task], progress: Callable[[Task], TaskProgress]) -> None:
        """Show how far those that run are, by what `progress` says of each."""
        bars = {}
        for task in running:
            bar = bars[task.title] = self._bars[task.title]
            bar.tasks[task.key] = progress(task)
        for title, bar in bars.items():
            self._show(title, bar)
        if not self._console.is_terminal and time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            for title, bar in bars.items():
                self._line(title, bar)

    def _show(self, title: str, bar: _Bar) -> None:
        state = bar.state()
        self._status.progress(title, state)
        self._progress.update(bar.place, total=state.total, completed=state.done, rate=bar.rate(state))

    def _line(self, title: str, bar: _Bar) -> None:
        state = bar.state()
        of = "" if state.total is None else f" of {state.total:,.0f}"
        line = f"{printable(title)}: {state.done:,.0f}{of} {state.unit or 'done'}, {bar.rate(state)}".rstrip(", ")
        if line != bar.shown:
            bar.shown = line
            if isinstance(self._console, JsonConsole):
                self._console.write(line, task=title, done=state.done, planned=state.total, unit=state.unit)
            else:
                say(self._console, line)


@contextmanager
def shown(console: Console, status: RunStatus) -> Iterator[Bars]:
    """Bars on `console` until the block ends; `status` is told what they show."""
    with Progress(
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        disable=isinstance(console, JsonConsole),
    ) as progress:
        yield Bars(progress, console, status)
