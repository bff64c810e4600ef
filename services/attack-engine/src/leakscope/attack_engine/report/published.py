"""A paper's numbers beside the measured ones, as rows of one table for each source."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from leakscope.attack_engine.evaluation.results import (
    Audit,
    Estimate,
    Evaluation,
    Findings,
    Interval,
    Published,
    SweepPoint,
)
from leakscope.attack_engine.report import words
from leakscope.attack_engine.report.training import number

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "Accuracy",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "probe_accuracy": "Linear-probe accuracy of the victim",
    }
)


@dataclass(frozen=True)
class Pair:
    """One metric as published and as measured, fractions; None where there is no such number."""

    published: float | None
    measured: float | None
    interval: Interval | None = None

    @property
    def difference(self) -> str:
        """Measured less published in points; "" where either is missing."""
        if self.published is None or self.measured is None:
            return ""
        return words.points(self.measured - self.published)


@dataclass(frozen=True)
class Row:
    """One published entry beside its audit; without one, `audit` is None and nothing is measured."""

    published: Published
    audit: Audit | None
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
    rows: tuple[Row, ...]


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


def _row(published: Published, audits: Sequence[Audit]) -> Row:
    audit = next((one for one in audits if _belongs(published, one)), None)
    if audit is None:
        return Row(published, None, None, _pairs(published, {}))
    probe = Pair(None, number(audit.victim.training, "probe_accuracy"))
    if published.knowledge is None and published.queries is None:
        measured = {**_whole(audit.evaluation), "probe_accuracy": probe}
        return Row(published, audit, audit.evaluation.auc, _pairs(published, measured))
    point = _point(published, audit)
    if point is None:
        return Row(published, None, None, _pairs(published, {}))
    measured = {"accuracy": _accuracy(point.balanced_accuracy), "probe_accuracy": probe}
    return Row(published, audit, point.auc, _pairs(published, measured))


def _belongs(published: Published, audit: Audit) -> bool:
    own = (audit.victim.name, audit.attack, audit.shadow)
    return own == (published.victim, published.attack, published.shadow)


def _point(published: Published, audit: Audit) -> SweepPoint | None:
    """The sweep's point that a published entry names; where it names both, that of the knowledge sweep."""
    name, x = ("knowledge", published.knowledge) if published.knowledge is not None else ("queries", published.queries)
    points = (point for sweep in audit.sweeps if sweep.name == name for point in sweep.points)
    return next((point for point in points if x is not None and math.isclose(point.x, x, abs_tol=1e-9)), None)


def _whole(evaluation: Evaluation) -> dict[str, Pair]:
    return {
        "accuracy": _accuracy(evaluation.balanced_accuracy),
        "precision": Pair(None, evaluation.precision),
        "recall": Pair(None, evaluation.recall),
        "f1": Pair(None, evaluation.f1),
    }


def _accuracy(value: Estimate) -> Pair:
    return Pair(None, value.value, value.interval)


def _pairs(published: Published, measured: Mapping[str, Pair]) -> dict[str, Pair]:
    """What was published and what was measured, by metric."""
    pairs = {name: Pair(value, None) for name, value in published.metrics.items()}
    for name, pair in measured.items():
        pairs[name] = Pair(published.metrics.get(name), pair.measured, pair.interval)
    return pairs
