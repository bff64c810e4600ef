"""What a worker does: one shard of samples through a signal, against an endpoint of its own, to Parquet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from latentprint.attack_engine.asking.answer_store import AnswerStore
from latentprint.attack_engine.asking.metered import MeteredEndpoint
from latentprint.attack_engine.asking.plan import ExtractionPlan, SignalPlan
from latentprint.attack_engine.asking.shards import Shard
from latentprint.attack_engine.asking.signal import SignalBatch
from latentprint.attack_engine.asking.signal_store import SignalStore, write_shard
from latentprint.core.datasets import Dataset
from latentprint.core.errors import EndpointError


@dataclass(frozen=True)
class ShardPlace:
    """One shard to extract: places in the plans, their signals and those signals' shards."""

    plan: int
    signal: int
    shard: int


class ShardWorker:
    """Extracts shards; opens each data set and endpoint once, when it is first needed."""

    def __init__(self, plans: Sequence[ExtractionPlan]) -> None:
        self._plans = tuple(plans)
        self._data: dict[int, Dataset] = {}
        self._endpoints: dict[int, MeteredEndpoint] = {}
        self._stores: dict[int, AnswerStore] = {}

    def run(self, task: ShardPlace) -> int:
        """Extract one shard and write it; returns its number of samples. One that is there already is left alone."""
        plan = self._plans[task.plan].signals[task.signal]
        shard = plan.shards[task.shard]
        store = SignalStore(plan.folder)
        if not store.shard_path(shard).exists():
            self._write(task, plan, shard, store)
        return len(shard.ids)

    def prepare(self, task: ShardPlace) -> None:
        """Open what a task needs before it runs."""
        self._dataset(task.plan)
        self._endpoint(task)

    def _write(self, task: ShardPlace, plan: SignalPlan, shard: Shard, store: SignalStore) -> None:
        data, endpoint = self._dataset(task.plan), self._endpoint(task)
        endpoint.kept = self._kept(task, plan, shard)
        endpoint.taken = None
        started, before = time.monotonic(), endpoint.counts.answered
        batch = _extract(data, plan, shard, endpoint)
        endpoint.confirm()
        asked, seconds = endpoint.counts.answered - before, time.monotonic() - started
        write_shard(store.shard_path(shard), shard.array, batch, asked=asked, seconds=seconds, taken=endpoint.taken)
        if self._plans[task.plan].keep:
            endpoint.kept.gather()
        else:
            endpoint.kept.remove(endpoint.kept.label)

    def _kept(self, task: ShardPlace, plan: SignalPlan, shard: Shard) -> AnswerStore:
        """Where the shard's answers are kept: for good in one store a plan, or else until the shard is written."""
        extraction = self._plans[task.plan]
        if not extraction.keep:
            return AnswerStore(extraction.answers, f"{plan.answers_label}-{shard.name}")
        if task.plan not in self._stores:
            self._stores[task.plan] = AnswerStore(extraction.answers)
        return self._stores[task.plan]

    def _dataset(self, plan: int) -> Dataset:
        if plan not in self._data:
            self._data[plan] = self._plans[plan].dataset.open()
        return self._data[plan]

    def _endpoint(self, task: ShardPlace) -> MeteredEndpoint:
        plan = self._plans[task.plan]
        if task.plan not in self._endpoints:
            endpoint = plan.endpoint.open(plan.ledger)
            if endpoint.card.identity != plan.card.identity:
                endpoint.close()
                raise EndpointError(
                    f"{plan.endpoint.url} serves another model than when the extraction was planned: run the command "
                    "again to extract the model that is served now."
                )
            if plan.check is not None:
                endpoint.keep_watch(plan.check)
            self._endpoints[task.plan] = endpoint
        self._endpoints[task.plan].scope = plan.signals[task.signal].key
        return self._endpoints[task.plan]

    def close(self) -> None:
        """Close what was opened."""
        for endpoint in self._endpoints.values():
            endpoint.close()


def _extract(data: Dataset, plan: SignalPlan, shard: Shard, endpoint: MeteredEndpoint) -> SignalBatch:
    parts = []
    for start in range(0, len(shard.ids), plan.batch):
        ids = shard.array[start : start + plan.batch]
        parts.append(plan.signal.extract(data.images(ids), ids, endpoint))
    names = parts[0].diagnostics
    return SignalBatch(
        np.concatenate([part.values for part in parts]),
        {name: np.concatenate([part.diagnostics[name] for part in parts]) for name in names},
    )


def tasks_of(plans: Sequence[ExtractionPlan]) -> list[ShardPlace]:
    """Every shard that is left to do: signal by signal within a plan, and the plans in turn.

    A server computes one batch of a model at a time: workers that ask the same one wait for one another, and those
    that ask a victim and its controls side by side keep a core each busy.
    """
    each = [
        [ShardPlace(p, s, i) for s, signal in enumerate(plan.signals) for i in range(len(signal.shards))]
        for p, plan in enumerate(plans)
    ]
    return [task for turn in zip_longest(*each) for task in turn if task is not None]


def extract_here(plans: Sequence[ExtractionPlan]) -> None:
    """Extract all that `plans` still lack in this process, one shard after the other. Raises as `extract` does."""
    worker = ShardWorker(plans)
    try:
        for task in tasks_of(plans):
            worker.run(task)
    finally:
        worker.close()


def shared_between(plan: ExtractionPlan, workers: int) -> ExtractionPlan:
    """The plan of one of `workers`: a ceiling on the rate is divided between them."""
    rate = plan.endpoint.images_per_second
    return plan if rate is None else replace(plan, endpoint=replace(plan.endpoint, images_per_second=rate / workers))
