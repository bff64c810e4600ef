"""Histograms of both sides' scores."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from latentprint.attack_engine.report.charts.frame import Box, Key, axes, drawing, key
from latentprint.attack_engine.report.charts.scales import Linear
from latentprint.attack_engine.report.charts.svg import Point, area, line
from latentprint.attack_engine.report.words import NBSP, percent, significant
from latentprint.attack_engine.statistics.estimates import Histogram
from latentprint.attack_engine.statistics.figures import NamedHistogram

BOX = Box()


def histogram(scores: Histogram) -> Markup:
    """How an attack scored both sides."""
    return shares(scores, "attack scores", "Attack score (higher = more like a member)", "score")


def named_histogram(data: NamedHistogram) -> Markup:
    """The same of something that is no score."""
    return shares(data.histogram, data.title, data.x_label, data.x_label)


def shares(scores: Histogram, title: str, x_label: str, noun: str) -> Markup:
    """The share of each side per bin: sides of unequal size stay comparable. Dashes mark non-members."""
    scores = _merged(scores)
    members, non_members = _shares(scores.members), _shares(scores.non_members)
    x = Linear(scores.edges[0], scores.edges[-1], BOX.left, BOX.right)
    y = Linear(0.0, 1.06 * max([*members, *non_members, 1e-9]), BOX.bottom, BOX.top, unit=100)
    return drawing(
        BOX,
        f"Histogram of {title} of members and of non-members, as shares of each side",
        axes(BOX, x, y, x_label, f"Share of each side,{NBSP}%"),
        *_side(x, y, scores.edges, non_members, "non-members"),
        *_side(x, y, scores.edges, members, "members"),
        key([Key("members", "series members"), Key("non-members", "series non-members")], BOX),
        tips=_tips(scores, noun, x, y, members, non_members),
    )


def _merged(scores: Histogram) -> Histogram:
    """Whole groups of bins joined until there are no more bins than about twice the root of the smaller side."""
    bins = len(scores.members)
    most = max(8, 2 * math.sqrt(min(sum(scores.members), sum(scores.non_members))))
    group = next(size for size in range(1, bins + 1) if bins % size == 0 and bins / size <= most)
    starts = range(0, bins, group)
    return Histogram(
        edges=scores.edges[::group],
        members=tuple(sum(scores.members[i : i + group]) for i in starts),
        non_members=tuple(sum(scores.non_members[i : i + group]) for i in starts),
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [number / total for number in counts]


def _side(x: Linear, y: Linear, edges: Sequence[float], shares: Sequence[float], side: str) -> list[Markup]:
    steps = _steps(x, y, edges, shares)
    base = [(steps[0][0], y(0.0)), (steps[-1][0], y(0.0))]
    return [area(steps, base, class_=f"fill {side}"), line(steps, class_=f"series {side}")]


def _steps(x: Linear, y: Linear, edges: Sequence[float], shares: Sequence[float]) -> list[Point]:
    points: list[Point] = [(x(edges[0]), y(0.0))]
    for left, right, share in zip(edges, edges[1:], shares, strict=False):
        points += [(x(left), y(share)), (x(right), y(share))]
    return [*points, (x(edges[-1]), y(0.0))]


def _tips(
    scores: Histogram, noun: str, x: Linear, y: Linear, members: Sequence[float], non_members: Sequence[float]
) -> list[tuple[Point, str]]:
    return [
        (
            (x((left + right) / 2), y(max(inside, outside))),
            f"{noun} {significant(left, 3)} to {significant(right, 3)}\n"
            f"members {percent(inside)} ({scores.members[i]})\n"
            f"non-members {percent(outside)} ({scores.non_members[i]})",
        )
        for i, (left, right, inside, outside) in enumerate(
            zip(scores.edges, scores.edges[1:], members, non_members, strict=False)
        )
    ]
