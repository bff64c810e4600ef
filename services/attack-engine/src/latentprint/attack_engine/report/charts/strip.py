"""Interval strips: the rows of a forest plot, at whatever width the page gives them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from latentprint.attack_engine.questions.membership.results import Audit
from latentprint.attack_engine.report.charts.scales import Linear
from latentprint.attack_engine.report.charts.svg import element, group
from latentprint.attack_engine.report.words import decimal, decimal_interval
from latentprint.attack_engine.statistics.estimates import Estimate

CHANCE = 0.5
HEIGHT = 22
OVERLAP = 6
MIDDLE = HEIGHT / 2


@dataclass(frozen=True)
class Strips:
    """Strips over one common AUC range [low, high], which holds 0.5 and every interval of the report."""

    low: float
    high: float

    def strip(self, auc: Estimate, mark: str) -> Markup:
        """One interval with its point, against the chance line. `mark` is "leak", "none", "invalid" or "control"."""
        interval = auc.interval
        start, end, at = self._share(interval.low), self._share(interval.high), self._share(auc.value)
        bar = element("line", x1=start, x2=end, y1=MIDDLE, y2=MIDDLE, class_="bar")
        point = element("svg", _shape(mark), x=at, y=MIDDLE, overflow="visible")
        return self._svg(
            self._chance(-OVERLAP, HEIGHT + OVERLAP),
            group([bar, point], class_=f"interval {mark}"),
            label=f"AUC {decimal(auc.value)}, interval {decimal_interval(interval)}",
        )

    def axis(self) -> Markup:
        """The scale that belongs above the strips."""
        ticks = [
            element("text", label, x=self._share(value), y=14, class_="label", text_anchor="middle")
            for value, label in Linear(self.low, self.high, 0, 100, about=8).ticks()
        ]
        return self._svg(*ticks, self._chance(18, HEIGHT + OVERLAP), label=f"AUC from {self.low:g} to {self.high:g}")

    def _share(self, value: float) -> str:
        return f"{Linear(self.low, self.high, 0, 100)(value):.2f}%"

    def _chance(self, top: float, bottom: float) -> Markup:
        at = self._share(CHANCE)
        return element("line", x1=at, x2=at, y1=top, y2=bottom, class_="chance")

    def _svg(self, *parts: str, label: str) -> Markup:
        return element("svg", *parts, class_="chart strip", width="100%", height=HEIGHT, role="img", aria_label=label)


def strips(audits: Iterable[Audit]) -> Strips:
    """Strips whose range, in tenths, holds every AUC interval of `audits` and their null controls."""
    intervals = [
        estimate.interval
        for audit in audits
        for estimate in (audit.evaluation.auc, *(control.auc for control in audit.validity.null_controls))
    ]
    low = min([0.4, *(interval.low for interval in intervals)])
    high = max([0.7, *(interval.high for interval in intervals)])
    return Strips(math.floor(10 * low) / 10, math.ceil(10 * high) / 10)


def _shape(mark: str) -> Markup:
    """A shape of its own for each kind, so that colour is never alone: disc, ring, cross, small diamond."""
    if mark == "leak":
        return element("circle", r=6, class_="shape")
    if mark == "none":
        return element("circle", r=5, class_="shape hollow")
    if mark == "invalid":
        return element("path", d="M-5 -5L5 5M-5 5L5 -5", class_="shape crossed")
    return element("path", d="M0 -4.5L4.5 0L0 4.5L-4.5 0Z", class_="shape hollow")
