"""Extraction: shards of samples as tasks, against endpoints, to Parquet, resumable, nothing asked twice."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from latentprint.attack_engine.asking.answer_store import FOR_GOOD, AnswerStore
from latentprint.attack_engine.asking.endpoint import Counts
from latentprint.attack_engine.asking.plan import ExtractionPlan, SignalPlan
from latentprint.attack_engine.asking.signal_store import SignalStore, Taken
from latentprint.attack_engine.asking.worker import ShardPlace, ShardWorker, shared_between, tasks_of
from latentprint.attack_engine.scheduling.scheduler import Scheduler
from latentprint.attack_engine.scheduling.task import ASKING, TaskProgress
from latentprint.attack_engine.scheduling.workers import RayWorkers, TaskWorkers
from latentprint.core.mirror import mirror_of
from latentprint.core.text import say

_WORKER_CPUS = 0.25  # most of its time a worker waits for the endpoint
_OPEN_WORKERS = 4  # extractions whose endpoints a process keeps open


@dataclass(frozen=True)
class Extraction:
    """One signal, extracted.

    Attributes:
        plan: what was planned; `plan.folder` is what `read_signals` reads.
        counts: images over all runs that worked on it.
        seconds: time that workers spent on it, added up over all runs.
        taken: when the first and the last of its answers were taken, seconds since the epoch; None if unknown.
        canaries: images asked, over all runs and signals of its endpoint, to check that the model stays the same.
        unchecked: why a change of the model would have passed unseen; "" where it would not.
    """

    plan: SignalPlan
    counts: Counts
    seconds: float
    taken: Taken | None = None
    canaries: int = 0
    unchecked: str = ""


def extract(
    plans: Sequence[ExtractionPlan],
    *,
    workers: int = 2,
    console: Console | None = None,
    place: TaskWorkers | None = None,
) -> list[list[Extraction]]:
    """Extract all that `plans` still lack; returns one list a plan, one entry a signal.

    Args:
        plans: see `plan_extraction`.
        workers: processes that ask at the same time.
        console: where progress is shown; standard error if None.
        place: who asks: processes of Ray if None.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; what was answered is kept.
        ModelChangedError: the endpoint serves another model than the one that kept answers came from, from the start
            or since; no shard that this one answered is kept.
        LatentprintError: whatever a worker ran into: the endpoint failed for good, the budget is used up, no disk.
    """
    console = console or Console(stderr=True)
    check_models(plans, console)
    if tasks_of(plans):
        folders = ", ".join(sorted({str(_root(plan)) for plan in plans}))
        stopped = f"Stopped. Everything answered is kept in {folders}; run the same command again to go on."
        place = place or RayWorkers()
        with place.session(workers), ExitStack() as opened:
            shards = shard_tasks(plans, "extract", workers, place)
            opened.callback(close_workers, shards)
            scheduler = Scheduler({ASKING: workers}, console, stopped, place)
            scheduler.add(shards)
            scheduler.run()
    return extracted(plans)


def check_models(plans: Sequence[ExtractionPlan], console: Console) -> None:
    """Ask the canaries of all `plans` before anything that is kept is trusted. Raises as `extract` does."""
    for plan in plans:
        _check_first(plan, console)


def shard_tasks(plans: Sequence[ExtractionPlan], title: str, workers: int, place: TaskWorkers) -> list["ShardTask"]:
    """What `plans` still lack, a task a shard, for a scheduler of which `workers` ask at a time at `place`."""
    tasks = tasks_of(plans)
    if not tasks:
        return []
    shared = place.share([shared_between(plan, workers) for plan in plans])
    token = uuid4().hex
    return [ShardTask(title, token, shared, task, plans[task.plan].signals[task.signal]) for task in tasks]


def close_workers(tasks: Sequence["ShardTask"]) -> None:
    """Close what this process opened for `tasks`; what Ray's processes hold goes with them."""
    for token in {task.token for task in tasks} & _WORKERS.keys():
        _WORKERS.pop(token).close()


def extracted(plans: Sequence[ExtractionPlan]) -> list[list[Extraction]]:
    """What was extracted for `plans`, one list a plan, one entry a signal."""
    return [_results(plan) for plan in plans]


@dataclass(frozen=True)
class ShardTask:
    """One shard to be asked for.

    Attributes:
        title: what it is called while it runs.
        token: names the extraction that it is part of; its endpoints stay open in a worker from shard to shard.
        plans: gives the extraction's plans to whoever asks.
        place: of the shard in them.
        signal: what is asked; None where it is found among the plans.
    """

    title: str
    token: str
    plans: Callable[[], Sequence[ExtractionPlan]]
    place: ShardPlace
    signal: SignalPlan | None = None
    limit = ASKING
    cores = _WORKER_CPUS
    on_gpu = False
    needs = ()
    reads = ()

    @cached_property
    def result(self) -> Path:
        """See `Task.result`."""
        return SignalStore(self._signal.folder).shard_path(self._signal.shards[self.place.shard])

    @cached_property
    def _signal(self) -> SignalPlan:
        return self.signal or self.plans()[self.place.plan].signals[self.place.signal]

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`: what was answered of the shard, and where the model's identity is kept."""
        plan = self.plans()[self.place.plan]
        label = FOR_GOOD if plan.keep else f"{self._signal.answers_label}-{self._signal.shards[self.place.shard].name}"
        return (plan.answers / f"{label}*", *(() if plan.check is None else (plan.check.folder,)))

    @property
    def key(self) -> str:
        """See `Task.key`: where it goes."""
        return str(self.result)

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return self.result.exists()

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        samples = len(self._signal.shards[self.place.shard].ids)
        return TaskProgress(samples if self.finished else 0, samples, "samples")

    def make(self) -> None:
        """See `Task.make`."""
        _worker(self.token, self.plans).run(self.place)

    def __getstate__(self) -> dict[str, Any]:
        """Without the signal's plan, which the worker finds among the others."""
        return {"title": self.title, "token": self.token, "plans": self.plans, "place": self.place, "signal": None}


_WORKERS: OrderedDict[str, ShardWorker] = OrderedDict()  # of this process, by extraction


def _worker(token: str, plans: Callable[[], Sequence[ExtractionPlan]]) -> ShardWorker:
    if token not in _WORKERS:
        _WORKERS[token] = ShardWorker(plans())
        if len(_WORKERS) > _OPEN_WORKERS:
            _WORKERS.popitem(last=False)[1].close()
    return _WORKERS[token]


def _check_first(plan: ExtractionPlan, console: Console) -> None:
    """Ask the canaries before anything that is kept is trusted."""
    check = plan.check
    if check is None:
        return
    if check.canaries:
        with plan.endpoint.open(plan.ledger) as endpoint:
            check.begin(endpoint)
        if (mirror := mirror_of(check.folder)) is not None:
            mirror.push(check.folder)
    if check.unchecked:
        sentence = f"Whether {plan.card.url} keeps serving the same model cannot be checked: {check.unchecked}."
        say(console, sentence)


def _root(plan: ExtractionPlan) -> Path | None:
    return None if plan.ledger.path is None else plan.ledger.path.parent


def _results(plan: ExtractionPlan) -> list[Extraction]:
    for row in plan.signals:
        AnswerStore(plan.answers).remove(row.answers_label)  # of shards cut otherwise, left by a run that was killed
    check = plan.check
    with plan.ledger.open() as ledger:
        canaries = 0 if check is None else ledger.counts(check.scope).answered
        unchecked = "" if check is None else check.unchecked
        return [_extraction(row, ledger.counts(row.key), canaries, unchecked) for row in plan.signals]


def _extraction(row: SignalPlan, counts: Counts, canaries: int, unchecked: str) -> Extraction:
    store = SignalStore(row.folder)
    return Extraction(row, counts, store.seconds(), store.taken(), canaries, unchecked)
