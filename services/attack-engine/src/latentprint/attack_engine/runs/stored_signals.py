"""The signals of a victim and of the encoders beside it: what is asked, what it costs, and where the answers lie."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from latentprint.attack_engine.asking import Counts, EndpointSpec
from latentprint.attack_engine.asking.extract import Extraction, check_models, extracted
from latentprint.attack_engine.asking.ledger_reader import LedgerReader
from latentprint.attack_engine.asking.plan import ExtractionPlan, plan_extraction
from latentprint.attack_engine.asking.plan_table import plan_table
from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.asking.signal import Signal
from latentprint.attack_engine.asking.signal_store import Taken, taken_between
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.definition import MEMBERSHIP, USERS
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.job import TWIN, VICTIM
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.statistics.power import power_warnings
from latentprint.attack_engine.statistics.rates import TARGET_FPRS
from latentprint.core.checks import require
from latentprint.core.datasets import DatasetSpec, Ids
from latentprint.core.splits import EVALUATION, Split
from latentprint.core.text import say

_PURPOSES = _AUDITED, _TREATED, _DISTILLATION = "audited", "treated", "distillation"


@dataclass(frozen=True)
class AskedModels:
    """An endpoint, the encoders beside it where there are any, and the samples that all are asked about.

    Attributes:
        sides: where they are, by side: "victim", and "twin" (an untrained encoder of the same architecture, served the
            same way), "placebo" (a trained one that saw none of the samples) and "original" (that the victim may be
            stolen from), each where there is one.
        dataset, split: the samples and who is a member.
        folder: where signals and ledgers go; the same folder again resumes.
        treated: the same samples with members and non-members treated differently; None leaves that control out.
        distillation: further samples that all are asked about, to be imitated; their data set and ids int64 [Q].
    """

    sides: Mapping[str, EndpointSpec]
    dataset: DatasetSpec
    split: Split
    folder: Path
    treated: DatasetSpec | None = None
    distillation: tuple[DatasetSpec, Ids] | None = None


@dataclass(frozen=True)
class AskingOptions:
    """How the endpoints are asked.

    Attributes:
        workers: extraction workers.
        budget: images that the victim may be asked at most; the encoders beside it are no part of it.
        keep_answers: keep every answer on disk for good.
    """

    workers: int = 2
    budget: int | None = None
    keep_answers: bool = False

    def __post_init__(self) -> None:
        require(self.workers >= 1, "workers", self.workers, "at least 1")
        require(self.budget is None or self.budget >= 0, "budget", self.budget, "0 or more images")


@dataclass(frozen=True)
class StoredSignals:
    """Signals of a victim, and of the encoders beside it, on disk.

    Attributes:
        card: the endpoint's card as plain data.
        budget: images that the endpoint may be asked at most.
        sides: extractions by signal, of "victim", "twin", "placebo" and "original".
        treated: the same with the samples treated differently.
        distillation: the same of the distillation samples.
    """

    card: Mapping[str, Any]
    budget: int | None
    sides: Mapping[str, Mapping[Signal, Extraction]]
    treated: Mapping[str, Mapping[Signal, Extraction]]
    distillation: Mapping[str, Mapping[Signal, Extraction]]

    def extraction(self, signal: Signal, side: str, *, distillation: bool) -> Extraction:
        """What `side` was asked for `signal`, of the audited or of the distillation samples."""
        return (self.distillation if distillation else self.sides)[side][signal]

    def folders(self, attack: Attack, side: str, *, treated: bool = False) -> dict[str, Path]:
        """Where the attack's signals are, by name, for `EvidenceFiles`; none where this side was not asked for them."""
        extractions = (self.treated if treated else self.sides).get(side, {})
        if not set(attack.signals) <= extractions.keys():
            return {}
        return {signal.name: extractions[signal].plan.folder for signal in attack.signals}

    def evidence(self, attack: Attack, dataset: DatasetSpec, *, treated: bool = False) -> dict[str, EvidenceFiles]:
        """Where what was asked for `attack` lies, by side, of those that were asked."""
        folders = {side: self.folders(attack, side, treated=treated) for side in self.sides}
        labels = attack.reading.reads_labels
        return {side: EvidenceFiles(dataset, asked, labels) for side, asked in folders.items() if asked}

    def queries(self, attack: Attack) -> Queries:
        """What the victim was asked for `attack`."""
        spent = [self.sides[VICTIM][signal] for signal in attack.signals]
        spent += self._distillation_of(attack)
        counts = sum((extraction.counts for extraction in spent), Counts())
        first, last = _written_times([extraction.taken for extraction in spent])
        return Queries(
            sent=counts.sent,
            answered=counts.answered,
            cached=counts.cached,
            retried=counts.retried,
            budget=self.budget,
            seconds=sum(extraction.seconds for extraction in spent),
            first_answer=first,
            last_answer=last,
            canaries=max(extraction.canaries for extraction in spent),
            unchecked=next((extraction.unchecked for extraction in spent if extraction.unchecked), ""),
        )

    def _distillation_of(self, attack: Attack) -> list[Extraction]:
        of_victim = self.distillation.get(VICTIM, {})
        return [of_victim[signal] for signal in attack.signals if attack.reading.imitates and signal in of_victim]


def _written_times(taken: Sequence[Taken | None]) -> tuple[str, str]:
    between = taken_between(taken)
    if between is None:
        return "", ""
    first, last = (datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") for seconds in between)
    return first, last


@dataclass(frozen=True)
class SignalsPlan:
    """What is asked of a victim and of the encoders beside it.

    Attributes:
        wanted: the signals of each plan.
        plans: of extractions.
    """

    wanted: "tuple[_WantedSignals, ...]"
    plans: tuple[ExtractionPlan, ...]

    def stored(self) -> StoredSignals:
        """The signals, once all shards are there."""
        found: dict[str, dict[str, dict[Signal, Extraction]]] = {purpose: {} for purpose in _PURPOSES}
        for one, results in zip(self.wanted, extracted(self.plans), strict=True):
            found[one.purpose][one.side] = dict(zip(one.signals, results, strict=True))
        plan = self.plans[0]
        return StoredSignals(asdict(plan.card), plan.ledger.budget, *(found[purpose] for purpose in _PURPOSES))

    def readers(self, model: str) -> list[LedgerReader]:
        """Who reads what the sides of `model` are asked, whatever for, from the ledger that each has."""
        scopes: dict[str, dict[str, str]] = {}
        ledgers = {one.side: plan.ledger for one, plan in zip(self.wanted, self.plans, strict=True)}
        for one, plan in zip(self.wanted, self.plans, strict=True):
            own = scopes.setdefault(one.side, {})
            own.update({signal.key: signal.signal.name for signal in plan.signals})
            if plan.check is not None:
                own[plan.check.scope] = "canaries"
        return [LedgerReader(model, side, ledgers[side], own) for side, own in scopes.items()]


def plan_signals(
    attacks: Sequence[Attack], asked: AskedModels, options: AskingOptions, console: Console
) -> SignalsPlan:
    """Plan every attack's signals, and show what they cost before the first query.

    Raises:
        DataError: too few samples, or a split of another data set.
        EndpointError, BudgetError, UsageError: see `plan_extraction` and `extract`.
    """
    dataset, on_victim = asked.dataset.open(), [one for one in attacks if not one.reading.fitted_on_shadow]
    for name in dict.fromkeys(attack.question for attack in on_victim):
        own = [attack for attack in on_victim if attack.question == name]
        QUESTIONS.get(name).require(own, dataset, asked.split)
    asked.split.check(dataset)
    if min(_evaluated(asked.split)) and any(attack.question in (MEMBERSHIP, USERS) for attack in attacks):
        for warning in power_warnings(*_evaluated(asked.split), TARGET_FPRS):
            say(console, warning)
    wanted = tuple(_wanted(attacks, asked))
    plans = tuple(_plan(one, asked, options) for one in wanted)
    for plan in plans:
        console.print(plan_table(plan))
    check_models(plans, console)
    return SignalsPlan(wanted, plans)


@dataclass(frozen=True)
class _WantedSignals:
    """Signals of one side for one purpose."""

    side: str
    purpose: str
    signals: tuple[Signal, ...]

    @property
    def asked(self) -> tuple[Signal, ...]:
        """The signals as they are asked for this purpose."""
        if self.purpose != _DISTILLATION:
            return self.signals
        return tuple(replace(s, purpose=_DISTILLATION) for s in self.signals if isinstance(s, PlainAnswer))


def _wanted(attacks: Sequence[Attack], models: AskedModels) -> Iterator[_WantedSignals]:
    def read_of(side: str) -> tuple[Signal, ...]:
        readers = [one for one in attacks if side == VICTIM or side in QUESTIONS.get(one.question).held_against]
        return tuple(dict.fromkeys(signal for attack in readers for signal in attack.signals))

    plain = tuple(dict.fromkeys(signal for attack in attacks if attack.reading.imitates for signal in attack.signals))
    sides = tuple(models.sides)
    yield from (_WantedSignals(side, _AUDITED, read_of(side)) for side in sides if read_of(side))
    if models.treated is not None:
        yield from (_WantedSignals(side, _TREATED, read_of(side)) for side in sides if side in (VICTIM, TWIN))
    if models.distillation is not None and plain:
        yield from (_WantedSignals(side, _DISTILLATION, plain) for side in sides)


def _evaluated(split: Split) -> tuple[int, int]:
    """Evaluated members and non-members; units where samples belong together."""
    units = split.by_unit()
    return len(units.ids(member=True, role=EVALUATION)), len(units.ids(member=False, role=EVALUATION))


def _plan(wanted: _WantedSignals, models: AskedModels, options: AskingOptions) -> ExtractionPlan:
    dataset, ids = models.dataset, models.split.sample_id
    if wanted.side == VICTIM and wanted.purpose == _AUDITED:
        ids = models.split.asked
    if wanted.purpose == _TREATED and models.treated is not None:
        dataset = models.treated
    if wanted.purpose == _DISTILLATION and models.distillation is not None:
        dataset, ids = models.distillation
    return plan_extraction(
        wanted.asked,
        dataset,
        ids,
        models.sides[wanted.side],
        models.folder / wanted.side,
        budget=options.budget if wanted.side == VICTIM else None,
        keep=options.keep_answers,
    )
