"""From endpoints to cells: plan, show what it costs, extract, fit."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.attacks.signal import Signal
from leakscope.attack_engine.audits.cell import joined, make_cell
from leakscope.attack_engine.audits.scoring import require_samples
from leakscope.attack_engine.audits.store import StoredCell
from leakscope.attack_engine.endpoints import Counts, EndpointSpec
from leakscope.attack_engine.evaluation.evaluate import TARGET_FPRS
from leakscope.attack_engine.evaluation.power import power_warnings
from leakscope.attack_engine.evaluation.results import Queries
from leakscope.attack_engine.extraction import (
    Extraction,
    ExtractionPlan,
    Signals,
    extract,
    plan_extraction,
    plan_table,
    read_signals,
)
from leakscope.core.datasets import DatasetSpec
from leakscope.core.splits import EVALUATION, Split


@dataclass(frozen=True)
class Subject:
    """What is audited: an endpoint, its untrained twin where there is one, and the samples.

    Attributes:
        endpoint: the victim.
        twin: an untrained encoder of the same architecture, served the same way; None leaves that control out.
        dataset, split: the samples and who is a member.
        folder: where signals and ledgers go; the same folder again resumes.
    """

    endpoint: EndpointSpec
    twin: EndpointSpec | None
    dataset: DatasetSpec
    split: Split
    folder: Path


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


def gather(
    attacks: Sequence[Attack], subject: Subject, effort: Effort, seed: int, console: Console
) -> list[StoredCell]:
    """One cell per attack, in order. The plan with its cost is shown before the first query.

    Raises:
        DataError: too few samples, or a split of another data set.
        EndpointError, BudgetError, UsageError: see `plan_extraction` and `extract`.
    """
    require_samples(subject.split)
    subject.split.check(subject.dataset.open())
    for warning in power_warnings(*_evaluated(subject.split), TARGET_FPRS):
        console.print(warning, soft_wrap=True)
    signals = list(dict.fromkeys(signal for attack in attacks for signal in attack.signals))
    plans = [_plan(signals, subject, effort, twin=twin) for twin in (False, True) if subject.twin or not twin]
    for plan in plans:
        console.print(plan_table(plan))
    extractions = extract(plans, workers=effort.workers, console=console)
    sides = [dict(zip(signals, results, strict=True)) for results in extractions]
    return [_cell(attack, subject, plans[0], sides, seed) for attack in attacks]


def _evaluated(split: Split) -> tuple[int, int]:
    """Evaluated members and non-members."""
    return len(split.ids(member=True, role=EVALUATION)), len(split.ids(member=False, role=EVALUATION))


def _plan(signals: Sequence[Signal], subject: Subject, effort: Effort, *, twin: bool) -> ExtractionPlan:
    endpoint = subject.twin if twin and subject.twin else subject.endpoint
    return plan_extraction(
        signals,
        subject.dataset,
        subject.split.sample_id,
        endpoint,
        subject.folder / ("twin" if twin else "victim"),
        budget=None if twin else effort.budget,
        keep=effort.keep_answers,
    )


def _cell(
    attack: Attack, subject: Subject, plan: ExtractionPlan, sides: Sequence[dict[Signal, Extraction]], seed: int
) -> StoredCell:
    read = [_read(attack, side, subject.split) for side in sides]
    cell = make_cell(attack, subject.split, read[0], read[1] if len(read) > 1 else None, seed)
    spent = [sides[0][signal] for signal in attack.signals]
    counts = sum((extraction.counts for extraction in spent), Counts())
    queries = Queries(
        sent=counts.sent,
        answered=counts.answered,
        cached=counts.cached,
        retried=counts.retried,
        budget=plan.ledger.budget,
        seconds=sum(extraction.seconds for extraction in spent),
    )
    return StoredCell(cell, queries, asdict(plan.card))


def _read(attack: Attack, side: dict[Signal, Extraction], split: Split) -> Signals:
    return joined([read_signals(side[signal].plan.folder, split.sample_id) for signal in attack.signals])
