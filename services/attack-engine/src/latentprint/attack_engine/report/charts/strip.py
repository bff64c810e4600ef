"""Interval strips: the rows of a forest plot, at whatever width the page gives them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latentprint.attack_engine.questions.header import Effect, Finding
from latentprint.attack_engine.report.charts.scales import Linear
from latentprint.attack_engine.report.charts.svg import element, group
from latentprint.attack_engine.report.words import decimal, decimal_interval

HEIGHT = 22
OVERLAP = 6
MIDDLE = HEIGHT / 2


@dataclass(frozen=True)
class Strips:
    """Strips of one effect over a common range [low, high], which holds every interval and the value of no effect."""

    low: float
    high: float
    name: str
    null: float

    def strip(self, effect: Effect, mark: str) -> Markup:
        """One interval with its point, against no effect. `mark` is "leak", "none", "invalid" or "control"."""
        interval = effect.interval
        start, end, at = self._share(interval.low), self._share(interval.high), self._share(effect.estimate)
        bar = element("line", x1=start, x2=end, y1=MIDDLE, y2=MIDDLE, class_="bar")
        point = element("svg", _shape(mark), x=at, y=MIDDLE, overflow="visible")
        return self._svg(
            self._chance(-OVERLAP, HEIGHT + OVERLAP),
            group([bar, point], class_=f"interval {mark}"),
            label=f"{effect.name} {decimal(effect.estimate)}, interval {decimal_interval(interval)}",
        )

    def axis(self) -> Markup:
        """The scale that belongs above the strips."""
        ticks = [
            element("text", label, x=self._share(value), y=14, class_="label", text_anchor="middle")
            for value, label in Linear(self.low, self.high, 0, 100, about=8).ticks()
        ]
        label = f"{self.name} from {self.low:g} to {self.high:g}"
        return self._svg(*ticks, self._chance(18, HEIGHT + OVERLAP), label=label)

    def _share(self, value: float) -> str:
        return f"{Linear(self.low, self.high, 0, 100)(value):.2f}%"

    def _chance(self, top: float, bottom: float) -> Markup:
        at = self._share(self.null)
        return element("line", x1=at, x2=at, y1=top, y2=bottom, class_="chance")

    def _svg(self, *parts: str, label: str) -> Markup:
        return element("svg", *parts, class_="chart strip", width="100%", height=HEIGHT, role="img", aria_label=label)


def strips(findings: Sequence[Finding[Any]]) -> Strips:
    """Strips whose range, in tenths, holds every interval of one question's `findings` and of controls alike.

    Raises:
        ValueError: no findings.
    """
    if not findings:
        raise ValueError("without findings there is no effect to draw")
    drawn = findings[0].effect
    controls = [control.effect for finding in findings for control in finding.controls]
    effects = [finding.effect for finding in findings]
    effects += [one for one in controls if one.name == drawn.name]  # a control's may be of another quantity
    null = drawn.null
    low = min([null - 0.1, *(effect.interval.low for effect in effects)])
    high = max([null + 0.2, *(effect.interval.high for effect in effects)])
    return Strips(math.floor(10 * low) / 10, math.ceil(10 * high) / 10, drawn.name, null)


def _shape(mark: str) -> Markup:
    """A shape of its own for each kind, so that colour is never alone: disc, ring, cross, small diamond."""
    if mark == "leak":
        return element("circle", r=6, class_="shape")
    if mark == "none":
        return element("circle", r=5, class_="shape hollow")
    if mark == "invalid":
        return element("path", d="M-5 -5L5 5M-5 5L5 -5", class_="shape crossed")
    return element("path", d="M0 -4.5L4.5 0L0 4.5L-4.5 0Z", class_="shape hollow")
