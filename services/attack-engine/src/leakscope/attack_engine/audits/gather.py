"""From endpoints to signals on disk: plan, show what it costs, extract."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.attacks.signal import Signal
from leakscope.attack_engine.audits.extracted import Extracted
from leakscope.attack_engine.audits.scoring import require_samples
from leakscope.attack_engine.endpoints import Counts, EndpointSpec
from leakscope.attack_engine.evaluation.evaluate import TARGET_FPRS
from leakscope.attack_engine.evaluation.power import power_warnings
from leakscope.attack_engine.evaluation.results import Queries
from leakscope.attack_engine.extraction import (
    Extraction,
    ExtractionPlan,
    extract,
    plan_extraction,
    plan_table,
    read_signals,
)
from leakscope.core.datasets import DatasetSpec, Ids
from leakscope.core.splits import EVALUATION, Split

VICTIM, TWIN = "victim", "twin"


@dataclass(frozen=True)
class Subject:
    """What is audited: an endpoint, its untrained twin where there is one, and the samples.

    Attributes:
        endpoint: the victim.
        twin: an untrained encoder of the same architecture, served the same way; None leaves that control out.
        dataset, split: the samples and who is a member.
        folder: where signals and ledgers go; the same folder again resumes.
        treated: the same samples with members and non-members treated differently; None leaves that control out.
    """

    endpoint: EndpointSpec
    twin: EndpointSpec | None
    dataset: DatasetSpec
    split: Split
    folder: Path
    treated: DatasetSpec | None = None


@dataclass(frozen=True)
class Effort:
    """How hard the endpoints are asked.

    Attributes:
        workers: extraction workers.
        budget: images that the victim may be asked at most; its twin is no part of it.
        keep_answers: keep every answer on disk for good.
    """

    workers: int = 2
    budget: int | None = None
    keep_answers: bool = False


@dataclass(frozen=True)
class Gathered:
    """Signals of one subject on disk.

    Attributes:
        card: the endpoint's card as plain data.
        budget: images that the endpoint may be asked at most.
        sides: extractions by signal, of "victim" and "twin".
        treated: the same with the samples treated differently.
    """

    card: Mapping[str, Any]
    budget: int | None
    sides: Mapping[str, Mapping[Signal, Extraction]]
    treated: Mapping[str, Mapping[Signal, Extraction]]

    def folders(self, attack: Attack, side: str, *, treated: bool = False) -> tuple[Path, ...] | None:
        """Where the attack's signals are, for `read_extracted`; None where this side was not asked."""
        extractions = (self.treated if treated else self.sides).get(side)
        if extractions is None:
            return None
        return tuple(extractions[signal].plan.folder for signal in attack.signals)

    def queries(self, attack: Attack) -> Queries:
        """What the victim was asked for `attack`."""
        spent = [self.sides[VICTIM][signal] for signal in attack.signals]
        counts = sum((extraction.counts for extraction in spent), Counts())
        return Queries(
            sent=counts.sent,
            answered=counts.answered,
            cached=counts.cached,
            retried=counts.retried,
            budget=self.budget,
            seconds=sum(extraction.seconds for extraction in spent),
        )


def gather(attacks: Sequence[Attack], subject: Subject, effort: Effort, console: Console) -> Gathered:
    """Extract every attack's signals. The plan with its cost is shown before the first query.

    Raises:
        DataError: too few samples, or a split of another data set.
        EndpointError, BudgetError, UsageError: see `plan_extraction` and `extract`.
    """
    require_samples(subject.split)
    subject.split.check(subject.dataset.open())
    for warning in power_warnings(*_evaluated(subject.split), TARGET_FPRS):
        console.print(warning, soft_wrap=True)
    signals = list(dict.fromkeys(signal for attack in attacks for signal in attack.signals))
    wanted = [
        (side, treated) for treated in (False, True) for side in (VICTIM, TWIN) if _is_there(subject, side, treated)
    ]
    plans = [_plan(signals, subject, effort, side, treated=treated) for side, treated in wanted]
    for plan in plans:
        console.print(plan_table(plan))
    extractions = extract(plans, workers=effort.workers, console=console)
    found = {key: dict(zip(signals, results, strict=True)) for key, results in zip(wanted, extractions, strict=True)}
    return Gathered(
        card=asdict(plans[0].card),
        budget=plans[0].ledger.budget,
        sides={side: of for (side, treated), of in found.items() if not treated},
        treated={side: of for (side, treated), of in found.items() if treated},
    )


def read_extracted(folders: Sequence[Path], sample_ids: Ids) -> Extracted:
    """The signals in `folders`, row for row for `sample_ids` (int64 [S]).

    Raises:
        DataError: see `read_signals`.
    """
    return Extracted(tuple(read_signals(folder, sample_ids) for folder in folders))


def _is_there(subject: Subject, side: str, treated: bool) -> bool:
    return (side == VICTIM or subject.twin is not None) and (not treated or subject.treated is not None)


def _evaluated(split: Split) -> tuple[int, int]:
    """Evaluated members and non-members."""
    return len(split.ids(member=True, role=EVALUATION)), len(split.ids(member=False, role=EVALUATION))


def _plan(signals: Sequence[Signal], subject: Subject, effort: Effort, side: str, *, treated: bool) -> ExtractionPlan:
    twin = side == TWIN and subject.twin
    return plan_extraction(
        signals,
        subject.treated if treated and subject.treated else subject.dataset,
        subject.split.sample_id,
        twin or subject.endpoint,
        subject.folder / side,
        budget=None if twin else effort.budget,
        keep=effort.keep_answers,
    )
