"""Making what attacks need, side by side on Ray, with a bar for each kind; what was stopped goes on."""

from collections.abc import Sequence
from typing import Any

import ray
from rich.console import Console
from rich.progress import Progress, TaskID

from latentprint.attack_engine.models.distillation_job import DistillationWork
from latentprint.attack_engine.runs.display import bars
from latentprint.attack_engine.runs.gpus import gpu_share
from latentprint.attack_engine.runs.preparing import Work
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.text import printable

_POLL_SECONDS = 0.5


def make_missing(works: Sequence[Work], console: Console, *, side_by_side: int) -> None:
    """Make `works` on the Ray cluster that this process is connected to.

    Args:
        works: what is missing; each is kept when it is done.
        console: where progress is shown.
        side_by_side: at once; each has a core, and an equal share of the GPUs where there are any.

    Raises:
        Interrupted: on Ctrl-C; what was done is kept, a distillation up to its last whole epoch.
        LatentprintError: whatever a work ran into; the others that were done are kept.
    """
    if not works:
        return
    task = _make.options(num_cpus=1, num_gpus=gpu_share(side_by_side))
    waiting = list(works)
    running: dict[Any, Work] = {}
    with bars(console) as progress:
        shown = _Bars(progress, works)
        try:
            while waiting or running:
                while waiting and len(running) < side_by_side:
                    work = waiting.pop(0)
                    running[task.remote(work)] = work
                done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                for reference in done:
                    _raise(ray.get(reference))
                    shown.finish(running.pop(reference))
                shown.update(list(running.values()))
        except KeyboardInterrupt:
            raise Interrupted("Stopped; what was prepared is kept: run the same command to go on.") from None
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


class _Bars:
    """A bar for each title: epochs of a distillation, models of a set of references."""

    def __init__(self, progress: Progress, works: Sequence[Work]) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._finished: dict[str, int] = {}
        for title in dict.fromkeys(work.title for work in works):
            total = sum(_total(work) for work in works if work.title == title)
            self._bars[title] = progress.add_task(printable(title), total=total, rate="")
            self._finished[title] = 0

    def finish(self, work: Work) -> None:
        """One work is done."""
        self._finished[work.title] += _total(work)
        self.update([])

    def update(self, running: Sequence[Work]) -> None:
        """Show what is finished, and how far distillations are."""
        for title, bar in self._bars.items():
            under_way = sum(w.done for w in running if isinstance(w, DistillationWork) and w.title == title)
            self._progress.update(bar, completed=self._finished[title] + under_way)


def _total(work: Work) -> int:
    return work.total if isinstance(work, DistillationWork) else 1


@ray.remote(max_retries=2)
def _make(work: Work) -> LatentprintError | None:
    """Make one thing. A `LatentprintError` is returned, so that it arrives as what it is."""
    try:
        work.run()
    except LatentprintError as error:
        return error
    return None


def _raise(error: Any) -> None:
    if error is not None:
        raise error
