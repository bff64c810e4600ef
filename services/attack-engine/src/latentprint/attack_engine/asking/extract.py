"""Extraction: shards of samples through Ray Data against endpoints, to Parquet, resumable, nothing asked twice."""

import signal as signals
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data  # brings the console handler that a session quiets
from numpy.typing import NDArray
from rich.console import Console

from latentprint.attack_engine.asking.answer_store import AnswerStore
from latentprint.attack_engine.asking.endpoint import Counts
from latentprint.attack_engine.asking.ledger import Ledger
from latentprint.attack_engine.asking.plan import ExtractionPlan, SignalPlan
from latentprint.attack_engine.asking.progress import Watch, shown
from latentprint.attack_engine.asking.signal_store import SignalStore, Taken
from latentprint.attack_engine.asking.worker import ShardWorker, Task, describe, restore, shared_between, tasks_of
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.ray_session import session
from latentprint.core.text import say

_WORKER_CPUS = 0.25


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
    plans: Sequence[ExtractionPlan], *, workers: int = 2, console: Console | None = None
) -> list[list[Extraction]]:
    """Extract all that `plans` still lack; returns one list a plan, one entry a signal.

    Uses the Ray cluster that this process is connected to, or starts a local one (see `ray_session`).

    Args:
        plans: see `plan_extraction`.
        workers: processes that ask at the same time.
        console: where progress is shown; standard error if None.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; what was answered is kept.
        ModelChangedError: the endpoint serves another model than the one that kept answers came from, from the start
            or since; no shard that this one answered is kept.
        LatentprintError: whatever a worker ran into: the endpoint failed for good, the budget is used up, no disk.
    """
    console = console or Console(stderr=True)
    tasks = tasks_of(plans)
    for plan in plans:
        _check_first(plan, console)
    if tasks:
        with ExitStack() as stack:
            ledgers = [stack.enter_context(plan.ledger.open()) for plan in plans]
            watch = _watch(plans, ledgers)
            stack.enter_context(ray_session(workers))
            stack.enter_context(_stoppable(plans, watch))
            stack.enter_context(shown(watch, console))
            for samples in _run(plans, tasks, min(workers, len(tasks))):
                watch.finished += samples
    return [_results(plan) for plan in plans]


def ray_session(workers: int = 2) -> AbstractContextManager[None]:
    """Use the Ray cluster this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Wrap several extractions in one session to start Ray once.

    Raises:
        LatentprintError: on entry, Ray does not start.
    """
    return session(ray, workers)


def _check_first(plan: ExtractionPlan, console: Console) -> None:
    """Ask the canaries before anything that is kept is trusted."""
    check = plan.check
    if check is None:
        return
    if check.canaries:
        with plan.endpoint.open(plan.ledger) as endpoint:
            check.begin(endpoint)
    if check.unchecked:
        sentence = f"Whether {plan.card.url} keeps serving the same model cannot be checked: {check.unchecked}."
        say(console, sentence)


class RayShardWorker:
    """`ShardWorker` as Ray Data calls it: a batch of one task in, its outcome out."""

    def __init__(self, plans: Sequence[ExtractionPlan]) -> None:
        self._worker = ShardWorker(plans)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
        """Extract the batch's shard; an error that a user can mend travels as data."""
        task = Task(int(batch["plan"][0]), int(batch["signal"][0]), int(batch["shard"][0]))
        samples, kind, sentence = 0, "", ""
        try:
            samples = self._worker.run(task)
        except LatentprintError as error:
            kind, sentence = describe(error)
        return {"samples": np.array([samples]), "kind": np.array([kind]), "sentence": np.array([sentence])}


def _run(plans: Sequence[ExtractionPlan], tasks: Sequence[Task], workers: int) -> Iterator[int]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    items = [{"plan": task.plan, "signal": task.signal, "shard": task.shard} for task in tasks]
    shared = [shared_between(plan, workers) for plan in plans]
    outcomes = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        RayShardWorker,
        fn_constructor_args=(shared,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_WORKER_CPUS,
    )
    for outcome in outcomes.iter_rows():
        if outcome["kind"]:
            raise restore(str(outcome["kind"]), str(outcome["sentence"]))
        yield int(outcome["samples"])


def _watch(plans: Sequence[ExtractionPlan], ledgers: Sequence[Ledger]) -> Watch:
    rows = [(ledger, row) for plan, ledger in zip(plans, ledgers, strict=True) for row in plan.signals]

    def done() -> int:
        counts = [ledger.counts(row.key) for ledger, row in rows]
        return sum(count.answered + count.cached for count in counts)

    samples = sum(row.samples - row.extracted for _, row in rows)
    return Watch(samples, sum((row.samples - row.extracted) * row.queries for _, row in rows), done)


@contextmanager
def _stoppable(plans: Sequence[ExtractionPlan], watch: Watch) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Interrupted`, which says how to go on."""
    main = threading.current_thread() is threading.main_thread()
    before = signals.signal(signals.SIGTERM, signals.default_int_handler) if main else None
    try:
        yield
    except KeyboardInterrupt:
        folders = ", ".join(sorted({str(_root(plan)) for plan in plans}))
        raise Interrupted(
            f"Stopped: {watch.line()}. Everything answered is kept in {folders}; run the same command again to go on."
        ) from None
    finally:
        if main:
            signals.signal(signals.SIGTERM, before)


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
