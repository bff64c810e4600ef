"""Progress for people: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from latentprint.core.text import say
from latentprint.trainer.progress import OnProgress, Progress

_LINE_SECONDS = 10.0


@contextmanager
def showing(name: str, console: Console) -> Iterator[OnProgress]:
    """Yield a callback that shows the progress of the training `name` on `console`."""
    if not console.is_terminal:
        yield _Lines(name, console)
        return
    columns = (_plain("{task.description}"), BarColumn(), TaskProgressColumn(), _plain("{task.fields[facts]}"))
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(name, total=None, facts="")

        def show(progress: Progress) -> None:
            bars.update(task, total=progress.images_total, completed=progress.images, facts=_facts(progress))

        yield show


def _plain(text: str) -> TextColumn:
    return TextColumn(text, markup=False)


class _Lines:
    """A line when the state changes, and every ten seconds."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._console = console
        self._last = float("-inf")
        self._state = ""

    def __call__(self, progress: Progress) -> None:
        if progress.state == self._state and time.monotonic() - self._last < _LINE_SECONDS:
            return
        self._last, self._state = time.monotonic(), progress.state
        say(self._console, f"{self._name}: {_facts(progress)}")


def _facts(progress: Progress) -> str:
    facts = [f"epoch {progress.epoch}/{progress.epochs}", f"{progress.images_per_second:,.0f} images/s"]
    if progress.loss is not None:
        facts.append(f"loss {progress.loss:.4g}")
    if progress.knn_accuracy is not None:
        facts.append(f"k-NN {100 * progress.knn_accuracy:.1f} %")
    facts.append(progress.state if progress.state != "training" else _left(progress.seconds_left))
    return ", ".join(facts)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "starting"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
