"""A paper's numbers beside the measured ones, a table for each source, and what its treatment of samples does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from latentprint.attack_engine.findings.results import Findings, Published
from latentprint.attack_engine.questions.membership.results import Artefact, Evaluation, MembershipFinding, SweepPoint
from latentprint.attack_engine.report import words
from latentprint.attack_engine.report.membership.claims import number
from latentprint.attack_engine.statistics.estimates import Estimate, Interval

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "Accuracy",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "tpr_at_0.001_fpr": "TPR at 0.1 % FPR",
        "tpr_at_0.01_fpr": "TPR at 1 % FPR",
        "auc": "AUC",
        "probe_accuracy": "Linear-probe accuracy of the victim",
        "train_accuracy": "Accuracy of the victim on members",
        "test_accuracy": "Accuracy of the victim on non-members",
        "accuracy_gap": "Accuracy of the victim, members less non-members",
    }
)

_AUC = "auc"
_NOTHING = "–"


@dataclass(frozen=True)
class Pair:
    """One metric as published and as measured, fractions; None where there is no such number.

    A fraction is shown in percent unless it is `plain`, as an AUC is.
    """

    published: float | None
    measured: float | None
    interval: Interval | None = None
    plain: bool = False

    @property
    def as_published(self) -> str:
        """The published number; a dash where there is none."""
        return _NOTHING if self.published is None else self._shown(self.published, 2)

    @property
    def as_measured(self) -> str:
        """The measured number; a dash where there is none."""
        return _NOTHING if self.measured is None else self._shown(self.measured, 1)

    @property
    def range(self) -> str:
        """The measured number's interval; "" where there is none."""
        if self.interval is None:
            return ""
        return words.decimal_interval(self.interval) if self.plain else words.percent_interval(self.interval)

    @property
    def difference(self) -> str:
        """Measured less published, in points unless `plain`; "" where either is missing."""
        if self.published is None or self.measured is None:
            return ""
        difference = self.measured - self.published
        return words.signed(difference) if self.plain else words.points(difference)

    def _shown(self, value: float, digits: int) -> str:
        return words.decimal(value) if self.plain else words.percent(value, digits)


@dataclass(frozen=True)
class PublishedRow:
    """One published entry beside its audit; without one, `audit` is None and nothing is measured."""

    published: Published
    audit: MembershipFinding | None
    auc: Estimate | None
    pairs: Mapping[str, Pair]

    @property
    def condition(self) -> str:
        """What sets this entry apart from its attack's others: shadow encoder, knowledge, queries."""
        one = self.published
        parts = [
            f"fitted on {one.shadow}" if one.shadow else "",
            f"{words.nominal(one.knowledge)} known" if one.knowledge is not None else "",
            f"{words.plural(one.queries, 'image')} a sample" if one.queries is not None else "",
        ]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Source:
    """A paper's table: the metrics that it gives, in a fixed order, and its rows."""

    name: str
    metrics: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


def sources(findings: Findings) -> Iterator[Source]:
    """The findings' published numbers by source, in the order given."""
    for name in dict.fromkeys(one.source for one in findings.published):
        entries = [one for one in findings.published if one.source == name]
        given = {metric for one in entries for metric in one.metrics}
        known = tuple(metric for metric in METRICS if metric in given)
        yield Source(name, (*known, *sorted(given - set(known))), tuple(_row(one, findings.audits) for one in entries))


def scale_line(scale: str) -> str:
    """What a reader must know of the scale before comparing."""
    if scale == "paper":
        return "Measured at the scale of the paper."
    measured = f"Measured at scale “{scale}”" if scale else "Measured at no stated scale"
    return (
        f"{measured}, not at the paper’s: these numbers are no reproduction of the published ones, but the same code "
        "path at another size."
    )


def _row(published: Published, audits: Sequence[MembershipFinding]) -> PublishedRow:
    audit = next((one for one in audits if _belongs(published, one)), None)
    if audit is None:
        return PublishedRow(published, None, None, _pairs(published, {}))
    own = _of_victim(audit)
    if published.knowledge is None and published.queries is None:
        measured = {**_whole(audit.result.evaluation), **own}
        return PublishedRow(published, audit, audit.result.evaluation.auc, _pairs(published, measured))
    point = _point(published, audit)
    if point is None:
        return PublishedRow(published, None, None, _pairs(published, {}))
    measured = {"accuracy": _estimated(point.balanced_accuracy), _AUC: _estimated(point.auc), **own}
    return PublishedRow(published, audit, point.auc, _pairs(published, measured))


def _belongs(published: Published, audit: MembershipFinding) -> bool:
    own = (audit.victim.name, audit.attack.name, audit.attack.fitted_on)
    return own == (published.victim, published.attack, published.shadow)


def _point(published: Published, audit: MembershipFinding) -> SweepPoint | None:
    """The sweep's point that a published entry names; where it names both, that of the knowledge sweep."""
    name, x = ("knowledge", published.knowledge) if published.knowledge is not None else ("queries", published.queries)
    points = (point for sweep in audit.result.sweeps if sweep.name == name for point in sweep.points)
    return next((point for point in points if x is not None and math.isclose(point.x, x, abs_tol=1e-9)), None)


def _of_victim(audit: MembershipFinding) -> dict[str, Pair]:
    """How well the victim itself does."""
    names = ("probe_accuracy", "train_accuracy", "test_accuracy")
    known = {name: number(audit.victim.training, name) for name in names}
    train, test = known["train_accuracy"], known["test_accuracy"]
    known["accuracy_gap"] = None if train is None or test is None else train - test
    return {name: Pair(None, value) for name, value in known.items()}


def _whole(evaluation: Evaluation) -> dict[str, Pair]:
    rates = {f"tpr_at_{rate.target_fpr:g}_fpr": Pair(None, rate.tpr, rate.interval) for rate in evaluation.tpr_at_fpr}
    return {
        "accuracy": _estimated(evaluation.balanced_accuracy),
        "precision": Pair(None, evaluation.precision),
        "recall": Pair(None, evaluation.recall),
        "f1": Pair(None, evaluation.f1),
        _AUC: _estimated(evaluation.auc),
        **rates,
    }


def _estimated(value: Estimate) -> Pair:
    return Pair(None, value.value, value.interval)


def _pairs(published: Published, measured: Mapping[str, Pair]) -> dict[str, Pair]:
    """What was published and what was measured, by metric."""
    pairs = {name: Pair(value, None, plain=name == _AUC) for name, value in published.metrics.items()}
    for name, pair in measured.items():
        pairs[name] = Pair(published.metrics.get(name), pair.measured, pair.interval, plain=name == _AUC)
    return pairs


def reading_of_treatment(artefact: Artefact) -> str:
    """What one encoder's two results say."""
    if not artefact.trained:
        return (
            "trained on nobody: any excess is the treatment’s"
            if _above_chance(artefact.as_published)
            else "trained on nobody, and no excess shown"
        )
    if _above_chance(artefact.as_published) and not _above_chance(artefact.alike):
        return "excess only where the two sides are treated differently"
    if _above_chance(artefact.alike):
        return "excess with all samples treated alike too"
    return "no excess shown either way"


def _above_chance(auc: Estimate) -> bool:
    return auc.interval.low > 0.5
