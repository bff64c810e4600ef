"""Progress bars of trainings: on a terminal bars, elsewhere a line now and then."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """Bars with a rate (the task field `rate`) and the time left."""
    with Progress(
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        yield progress
