"""What an extraction will ask and what that costs, known before the first query."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentprint.attack_engine.asking.answer_store import FOR_GOOD, AnswerStore
from latentprint.attack_engine.asking.endpoint import EndpointCard
from latentprint.attack_engine.asking.endpoint_spec import EndpointSpec
from latentprint.attack_engine.asking.ledger import LedgerSpec
from latentprint.attack_engine.asking.model_identity import ModelIdentityCheck, forget_unverified
from latentprint.attack_engine.asking.requests import answer_bytes, images_per_request
from latentprint.attack_engine.asking.shards import Shard, filling, make_shards, samples_per_shard
from latentprint.attack_engine.asking.signal import Signal, asked_of, kinds, suited
from latentprint.attack_engine.asking.signal_store import SignalStore, Taken, taken_between
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.digests import digest_json
from latentprint.core.errors import UsageError
from latentprint.core.mirror import mirror_of
from latentprint.core.samples import sample_bytes

_BATCH_BYTES = 64 * 2**20
LEDGER = "ledger.sqlite"


@dataclass(frozen=True)
class SignalPlan:
    """One signal on one endpoint.

    Attributes:
        signal: what is asked.
        key: digest of all that its values depend on; the ledger counts under it.
        folder: where its shards go.
        samples: samples wanted.
        extracted: how many of them are there already.
        shards: the rest.
        queries: images a sample.
        kept: images of unfinished shards whose answers are kept.
        batch: samples given to the signal at once.
        requests: requests that are left to ask, about.
        filling: images that fill up requests to an endpoint that takes none but full batches.
    """

    signal: Signal
    key: str
    folder: Path
    samples: int
    extracted: int
    shards: tuple[Shard, ...]
    queries: int
    kept: int
    batch: int
    requests: int
    filling: int = 0

    @property
    def answers_label(self) -> str:
        """What the labels of its unfinished shards' kept answers begin with."""
        return self.key[:16]

    @property
    def total(self) -> int:
        """Images that all samples cost, extracted ones included."""
        return self.samples * self.queries

    @property
    def pending(self) -> int:
        """Images that are left to ask."""
        return max((self.samples - self.extracted) * self.queries + self.filling - self.kept, 0)


@dataclass(frozen=True)
class ExtractionPlan:
    """Signals of one endpoint on one data set, and their cost.

    Attributes:
        endpoint: how it is reached.
        card: the endpoint as it was when the plan was made.
        dataset: where the images come from.
        signals: one plan each.
        ledger: the budget.
        spent: images charged to the ledger before.
        answers: where answers are kept.
        keep: keep them for good; else only until their shard is finished.
        images_per_second: stated, or measured on shards extracted before; None if unknown.
        check: how it is checked that the model stays the same; None where it cannot change.
        canaries: images that this asks, about.
    """

    endpoint: EndpointSpec
    card: EndpointCard
    dataset: DatasetSpec
    signals: tuple[SignalPlan, ...]
    ledger: LedgerSpec
    spent: int
    answers: Path
    keep: bool
    images_per_second: float | None
    check: ModelIdentityCheck | None = None
    canaries: int = 0

    @property
    def taken(self) -> Taken | None:
        """When the first and the last answer of what is there already was taken; None where nothing is."""
        return taken_between([SignalStore(plan.folder).taken() for plan in self.signals if plan.extracted])

    @property
    def pending(self) -> int:
        """Images that are left to ask, canaries left out."""
        return sum(plan.pending for plan in self.signals)

    @property
    def seconds(self) -> float | None:
        """Estimated time; None if no rate is known."""
        return self.pending / self.images_per_second if self.images_per_second else None


def plan_extraction(
    signals: Sequence[Signal],
    dataset: DatasetSpec,
    sample_ids: Ids,
    endpoint: EndpointSpec,
    folder: Path,
    *,
    budget: int | None = None,
    keep: bool = False,
    shard_size: int | None = None,
    images_per_second: float | None = None,
    card: EndpointCard | None = None,
) -> ExtractionPlan:
    """Plan the extraction of `signals` for `sample_ids`. Asks the endpoint for its card and for no image.

    Args:
        signals: what is asked.
        dataset: where the images come from.
        sample_ids: int64 [S], in any order.
        endpoint: what is asked.
        folder: where signals, unfinished work and the ledger go; the same folder again resumes.
        budget: images that may be asked in all, over everything in `folder`.
        keep: keep answers for good, for other signals that ask the same.
        shard_size: samples that are extracted and resumed together; None for as many as suit the signal.
        images_per_second: rate to estimate with; else the one measured on earlier shards.
        card: the endpoint's card, where it is known already; it is then not contacted.

    Raises:
        UsageError: an output the endpoint does not offer, or not in a shape that gives the signal, a sample the data
            set does not have, no sample.
        EndpointError: see `EndpointSpec.open` and `check_sizes`.
        BudgetError: the budget does not cover what is left to ask.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.pull(folder)
    data = dataset.open()
    _check_ids(data, sample_ids)
    card = card or _card(endpoint)
    signals = [suited(signal, card.outputs, card.url) for signal in signals]
    check_sizes(card, signals, data.sample_shape)
    root = folder / card.identity[:16]
    asked = tuple(dict.fromkeys(output for signal in signals for output in signal.outputs))
    check = endpoint.check(card, root / "canaries", asked, data.sample_shape)
    kept = AnswerStore(root / "answers")
    if check is not None:
        forget_unverified(check.folder, kept)
    plans = tuple(_plan_signal(s, data, sample_ids, endpoint, card, root, kept, shard_size) for s in signals)
    ledger = LedgerSpec(folder / LEDGER, budget)
    with ledger.open() as book:
        free = sum(book.unfinished(plan.key, idempotent=card.idempotent) for plan in plans)
        spent = book.spent
        canaries = 0 if check is None else _canaries(check, plans)
        if not kept.labels(FOR_GOOD):
            book.require(max(sum(plan.pending for plan in plans) - free, 0) + canaries)
    if mirror is not None:
        mirror.push(folder)  # of a run that had no storage yet
    rate = images_per_second or _measured(plans)
    return ExtractionPlan(endpoint, card, dataset, plans, ledger, spent, kept.folder, keep, rate, check, canaries)


def check_sizes(card: EndpointCard, signals: Sequence[Signal], sample_shape: tuple[int, ...]) -> None:
    """Whether an endpoint takes what signals ask about samples of this shape.

    Raises:
        UsageError: samples that a signal can do nothing with.
        EndpointError: images for an endpoint that takes vectors or the reverse, or a size that it does not take.
    """
    card.check_kind(sample_shape)
    for signal in signals:
        for asked in asked_of(signal, sample_shape):
            remedy = "bring the images to that with --side {side}"
            if asked.option:
                remedy = f"have {signal.name} ask about that with --attack-option {asked.option}={{value}}"
            card.check_sample(asked.shape, remedy)


def signal_key(signal: Signal, card: EndpointCard, dataset_digest: str) -> str:
    """SHA-256 (hex) of all that a signal's values depend on: itself, its options and code, endpoint, data set.

    Its code is its class with whatever that names: whatever else changes in an attack, such as the inference model that
    reads the signal, asks nothing again. The data set's digest is one of its content, so that its code does not matter.
    """
    options: dict[str, Any] = asdict(signal) if is_dataclass(signal) and not isinstance(signal, type) else {}
    kind = " of ".join(f"{one.__module__}.{one.__qualname__}" for one in kinds(signal))
    described = {"name": signal.name, "kind": kind, "options": options, "outputs": list(signal.outputs)}
    code = code_digest(*kinds(signal))
    return digest_json({"signal": described, "code": code, "endpoint": card.identity, "dataset": dataset_digest})


def _plan_signal(
    signal: Signal,
    data: Dataset,
    ids: Ids,
    spec: EndpointSpec,
    card: EndpointCard,
    root: Path,
    answers: AnswerStore,
    shard_size: int | None,
) -> SignalPlan:
    key = signal_key(signal, card, data.digest)
    store = SignalStore(root / f"{signal.name}-{key[:16]}")
    wanted = {int(i) for i in ids}
    extracted = wanted & store.sample_ids()
    queries = signal.queries_per_sample(data.sample_shape)
    together = shard_size or samples_per_shard(queries, answer_bytes(card, signal.outputs))
    shards = make_shards(wanted - extracted, together)
    batch = max(1, min(together, _BATCH_BYTES // (queries * sample_bytes(data.sample_shape))))
    kept = _unfinished(answers, key[:16], store)
    shape, rate = (1, *data.sample_shape), spec.images_per_second
    size = images_per_request(card, shape, signal.outputs, spec.images_per_request, rate)
    requests = sum(-(-len(shard.ids) * queries // size) for shard in shards)
    surplus = filling(signal, data.sample_shape, shards, batch, card.batch) if card.batch else 0
    return SignalPlan(
        signal, key, store.folder, len(wanted), len(extracted), shards, queries, kept, batch, requests, surplus
    )


def _unfinished(answers: AnswerStore, label: str, store: SignalStore) -> int:
    """Images whose answers are kept of a signal's unfinished shards; a killed run's of finished ones are forgotten."""
    for found in answers.labels(label):
        if store.has_shard(found.removeprefix(f"{label}-")):
            answers.remove(found)
    return answers.samples(label)


def _canaries(check: ModelIdentityCheck, plans: Sequence[SignalPlan]) -> int:
    """Images that the checks of an undisturbed run ask: at its start, before every shard is kept, and at intervals."""
    shards, pending = sum(len(plan.shards) for plan in plans), sum(plan.pending for plan in plans)
    return check.first_images + check.images * (shards + pending // check.every)


def _check_ids(data: Dataset, ids: Ids) -> None:
    if len(ids) == 0:
        raise UsageError("There is no sample to extract: the split, or the role asked for, is empty.")
    low, high = int(np.min(ids)), int(np.max(ids))
    if low < 0 or high >= len(data):
        wrong = low if low < 0 else high
        raise UsageError(f"{data.name!r} has samples 0 to {len(data) - 1}, not {wrong}: give the split drawn from it.")


def _card(endpoint: EndpointSpec) -> EndpointCard:
    with endpoint.open() as opened:
        return opened.card


def _measured(plans: Sequence[SignalPlan]) -> float | None:
    rates = [rate for plan in plans if (rate := SignalStore(plan.folder).rate()) is not None]
    return float(np.mean(rates)) if rates else None
