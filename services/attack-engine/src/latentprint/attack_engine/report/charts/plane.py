"""The privacy-utility plane: what a victim is good for against what an attack learns from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latentprint.attack_engine.report.charts.frame import Box, axes, drawing
from latentprint.attack_engine.report.charts.scales import Linear
from latentprint.attack_engine.report.charts.svg import Point, element, group, line, text
from latentprint.attack_engine.report.words import NBSP, estimate, percent
from latentprint.attack_engine.statistics.estimates import Estimate

BOX = Box(width=340, height=300, left=46, right=332, top=14, bottom=252)
CHANCE = 0.5
LONGEST = 20
LINE = 13.0
RADIUS = 5.0


@dataclass(frozen=True)
class Spot:
    """One victim: its accuracy as a fraction, the attack's AUC on it, its label, and whether it has a defence."""

    utility: float
    auc: Estimate
    label: str
    defended: bool


def plane(attack: str, utility: str, spots: Sequence[Spot]) -> Markup:
    """One attack's plane, with a line from the undefended victim (a ring) to each defended one (a disc).

    `utility` names the horizontal axis. Whiskers are the AUC's intervals, the dotted line is chance.
    """
    x, y = _horizontal(spots), _vertical(spots)
    at = {spot: (x(spot.utility), y(spot.auc.value)) for spot in spots}
    origins = [at[spot] for spot in spots if not spot.defended]
    arrows = [_arrow(origin, at[spot]) for origin in origins for spot in spots if spot.defended]
    words = "; ".join(f"{spot.label}: {percent(spot.utility)}, {estimate(spot.auc)}" for spot in spots)
    return drawing(
        BOX,
        f"{attack}: {utility} against attack AUC. {words}",
        axes(BOX, x, y, f"{utility},{NBSP}%", "Attack AUC"),
        line([(BOX.left, y(CHANCE)), (BOX.right, y(CHANCE))], class_="chance"),
        group(arrows),
        group([_mark(spot, at[spot], y) for spot in spots]),
        group(_labels(at)),
        tips=[
            (at[spot], f"{spot.label}\n{utility} {percent(spot.utility)}\nAUC {estimate(spot.auc)}") for spot in spots
        ],
    )


def _horizontal(spots: Sequence[Spot]) -> Linear:
    low, high = min(spot.utility for spot in spots), max(spot.utility for spot in spots)
    room = max(0.12 * (high - low), 0.02)
    return Linear(low - room, high + room, BOX.left, BOX.right, about=4, unit=100)


def _vertical(spots: Sequence[Spot]) -> Linear:
    low = min([CHANCE, *(spot.auc.interval.low for spot in spots)])
    high = max([CHANCE, *(spot.auc.interval.high for spot in spots)])
    room = max(0.06 * (high - low), 0.01)
    return Linear(low - room, high + room, BOX.bottom, BOX.top)


def _mark(spot: Spot, at: Point, y: Linear) -> Markup:
    kind = "defended" if spot.defended else "undefended"
    whisker = line([(at[0], y(spot.auc.interval.low)), (at[0], y(spot.auc.interval.high))], class_=f"reach {kind}")
    return group([whisker, element("circle", cx=at[0], cy=at[1], r=RADIUS, class_=f"spot {kind}")])


def _arrow(start: Point, end: Point) -> Markup:
    """A line whose head stops short of the spot that it points at; nothing between spots that touch."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = float((across**2 + down**2) ** 0.5)
    if length <= 4 * RADIUS:
        return Markup("")
    across, down = across / length, down / length
    tip = (end[0] - across * (RADIUS + 2), end[1] - down * (RADIUS + 2))
    back = (tip[0] - across * 7, tip[1] - down * 7)
    head = [(back[0] - down * 3.5, back[1] + across * 3.5), tip, (back[0] + down * 3.5, back[1] - across * 3.5)]
    begin = (start[0] + across * RADIUS, start[1] + down * RADIUS)
    return group([line([begin, tip], class_="arrow"), line(head, class_="arrow")])


def _labels(at: dict[Spot, Point]) -> list[Markup]:
    """Labels beside their spots, towards the middle, moved apart where they would cover one another."""
    middle = (BOX.left + BOX.right) / 2
    parts: list[Markup] = []
    for left in (True, False):
        side = sorted((spot for spot in at if (at[spot][0] <= middle) == left), key=lambda spot: at[spot][1])
        lines = {spot: _wrapped(spot.label) for spot in side}
        tops = _apart([(at[spot][1] - LINE * len(lines[spot]) / 2, LINE * len(lines[spot])) for spot in side])
        for spot, top in zip(side, tops, strict=True):
            x, anchor = (at[spot][0] + 9, "start") if left else (at[spot][0] - 9, "end")
            parts += [
                text(words, x, top + LINE * (i + 0.8), class_="name", text_anchor=anchor)
                for i, words in enumerate(lines[spot])
            ]
    return parts


def _wrapped(label: str) -> list[str]:
    """A label in one line or, before its brackets, in two; what is too long even so ends in an ellipsis."""
    name, bracket, options = label.partition(" (")
    lines = [label] if len(label) <= LONGEST or not bracket else [name, options.removesuffix(")")]
    return [words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…" for words in lines]


def _apart(wanted: Sequence[tuple[float, float]]) -> list[float]:
    """Tops of blocks (top, height), in rising order, moved down and then up until none covers another."""
    tops: list[float] = []
    for top, _ in wanted:
        floor = tops[-1] + wanted[len(tops) - 1][1] if tops else BOX.top
        tops.append(max(top, floor))
    ceiling = BOX.bottom
    for i in range(len(tops) - 1, -1, -1):
        ceiling = min(tops[i], ceiling - wanted[i][1])
        tops[i] = ceiling
    return tops
