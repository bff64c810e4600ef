"""Diagnostic curves of members and non-members, with their difference beneath."""

import math
from collections.abc import Sequence
from itertools import starmap

from markupsafe import Markup

from latentprint.attack_engine.report.charts.frame import Box, Key, axes, drawing, key
from latentprint.attack_engine.report.charts.scales import Linear, Scale
from latentprint.attack_engine.report.charts.svg import Point, area, group, line
from latentprint.attack_engine.report.words import significant
from latentprint.attack_engine.statistics.figures import Curves

UPPER = Box(bottom=186)
LOWER = Box(top=206)
BAND = 1.96


def curves(data: Curves) -> Markup:
    """Mean curves with 95 % bands (1.96 standard errors), and member minus non-member with its own band.

    The two means often lie close together where their difference is plain: hence the second panel.
    """
    length = len(data.members)
    x = Linear(1, max(length, 2), UPPER.left, UPPER.right, about=6)
    y = _fitted([data.members, data.non_members], [data.members_error, data.non_members_error], UPPER)
    difference = [a - b for a, b in zip(data.members, data.non_members, strict=True)]
    error = list(starmap(math.hypot, zip(data.members_error, data.non_members_error, strict=True)))
    z = _fitted([difference, [0.0]], [error, [0.0]], LOWER, about=4)
    whole = Box()
    return drawing(
        whole,
        f"{data.title}: mean curves of members and of non-members with 95 % bands, and their difference",
        axes(UPPER, _Unlabelled(x), y, "", data.y_label),
        axes(LOWER, x, z, data.x_label, "difference"),
        _series(x, y, data.non_members, data.non_members_error, "non-members"),
        _series(x, y, data.members, data.members_error, "members"),
        line([(LOWER.left, z(0.0)), (LOWER.right, z(0.0))], class_="chance"),
        _series(x, z, difference, error, "attack"),
        key(
            [
                Key("members", "series members"),
                Key("non-members", "series non-members"),
                Key("difference", "series attack"),
            ],
            whole,
        ),
        tips=_tips(data, x, y, difference),
    )


class _Unlabelled:
    """A scale whose ticks are shown by the panel below it."""

    def __init__(self, scale: Scale):
        self._scale = scale

    def __call__(self, value: float) -> float:
        return self._scale(value)

    def ticks(self) -> list[tuple[float, str]]:
        return []


def _fitted(means: Sequence[Sequence[float]], errors: Sequence[Sequence[float]], box: Box, about: int = 4) -> Linear:
    """A vertical scale that holds every band with a little room."""
    ends = [
        mean + sign * BAND * error
        for side, spread in zip(means, errors, strict=True)
        for mean, error in zip(side, spread, strict=True)
        for sign in (-1, 1)
    ]
    finite = [end for end in ends if math.isfinite(end)] or [0.0]
    low, high = min(finite), max(finite)
    room = 0.06 * (high - low) or 0.5
    return Linear(low - room, high + room, box.bottom, box.top, about=about)


def _series(x: Scale, y: Scale, means: Sequence[float], errors: Sequence[float], side: str) -> Markup:
    upper = [(x(i), y(mean + BAND * error)) for i, (mean, error) in enumerate(zip(means, errors, strict=True), 1)]
    lower = [(x(i), y(mean - BAND * error)) for i, (mean, error) in enumerate(zip(means, errors, strict=True), 1)]
    points = [(x(i), y(mean)) for i, mean in enumerate(means, 1)]
    return group([area(upper, lower, class_=f"band {side}"), line(points, class_=f"series {side}")])


def _tips(data: Curves, x: Scale, y: Scale, difference: Sequence[float]) -> list[tuple[Point, str]]:
    step = max(1, len(difference) // 64)
    return [
        (
            (x(i + 1), y(data.members[i])),
            f"{data.x_label} {i + 1}\nmembers {significant(data.members[i])}\n"
            f"non-members {significant(data.non_members[i])}\ndifference {significant(difference[i], 3)}",
        )
        for i in range(0, len(difference), step)
    ]
