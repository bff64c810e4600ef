"""How far an extraction is: a bar on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from latentprint.attack_engine.asking.plan_table import duration
from latentprint.core.text import say

_LINE_SECONDS = 10.0
_POLL_SECONDS = 0.5


class Watch:
    """Counts samples as shards finish, and images as the ledger sees them.

    Args:
        samples: samples to extract.
        images: images they need, kept answers included.
        done: reads the images answered or taken from kept answers so far, this run and those before.
    """

    def __init__(self, samples: int, images: int, done: Callable[[], int]) -> None:
        self._samples, self._images, self._read = samples, images, done
        self._started, self._before = time.monotonic(), done()
        self.finished = 0

    def images_done(self) -> int:
        """Images got since the watch began."""
        return min(self._read() - self._before, self._images)

    def line(self) -> str:
        """Samples, rates and time left in one line."""
        elapsed = max(time.monotonic() - self._started, 1e-6)
        images = self.images_done()
        left = f"about {duration((self._images - images) * elapsed / images)} left" if images else "time left unknown"
        return (
            f"{self.finished:,} of {self._samples:,} samples, {self.finished / elapsed:.1f} samples/s, "
            f"{images / elapsed:,.0f} images/s, {left}"
        )

    def fraction(self) -> float:
        """Share of the images that are done."""
        return self.images_done() / self._images if self._images else 1.0


@contextmanager
def shown(watch: Watch, console: Console) -> Iterator[None]:
    """Show `watch` on `console` until the block ends."""
    stop = threading.Event()
    show = _bar if console.is_terminal else _lines
    thread = threading.Thread(target=show, args=(watch, console, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bar(watch: Watch, console: Console, stop: threading.Event) -> None:
    columns = (TextColumn("extracting"), BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=1.0)
        while not stop.wait(_POLL_SECONDS):
            progress.update(task, completed=watch.fraction(), description=watch.line())
        progress.update(task, completed=watch.fraction(), description=watch.line())


def _lines(watch: Watch, console: Console, stop: threading.Event) -> None:
    while not stop.wait(_LINE_SECONDS):
        say(console, f"extracting: {watch.line()}")
    say(console, f"extracted: {watch.line()}")
