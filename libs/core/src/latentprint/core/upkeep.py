"""Something that is looked after while other work goes on: files that travel, progress that is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from latentprint.core.errors import LatentprintError

_SECONDS = 2.0


@contextmanager
def kept_up(meanwhile: Callable[[], None], at_last: Callable[[], None]) -> Iterator[None]:
    """Call `meanwhile` every other second while the block runs, and `at_last` when it ends, well or not.

    Both by a thread of their own: Ctrl-C comes to the main one alone, and a file that is cut off while it travels would
    be taken for a whole one. What `meanwhile` cannot do now it may do the next time.

    Raises:
        LatentprintError: what `at_last` raises, where the block ends well.
    """
    ended, failures = threading.Event(), list[LatentprintError]()

    def run() -> None:
        while not ended.wait(_SECONDS):
            with suppress(LatentprintError):
                meanwhile()
        try:
            at_last()
        except LatentprintError as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="upkeep")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        _join(thread)
    if failures:
        raise failures[0]


def _join(thread: threading.Thread) -> None:
    """Wait for a thread; Ctrl-C that comes meanwhile is told once the thread has ended."""
    interrupted = False
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
