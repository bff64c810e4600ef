"""What an attack finds with more and more of one thing: one curve with its band, or several with whiskers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from latentprint.attack_engine.questions.membership.results import Sweep, SweepPoint
from latentprint.attack_engine.report.charts.frame import Box, axes, drawing
from latentprint.attack_engine.report.charts.scales import Linear, Scale
from latentprint.attack_engine.report.charts.svg import Point, area, element, group, line, text
from latentprint.attack_engine.report.words import estimate, nominal, percent, percent_interval

BOX = Box(top=14, bottom=268)
CHANCE = 0.5
COLOURS = "abcdefg"
MARKS = (
    "M-4 -4H4V4H-4Z",
    "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
    "M0 -5L5 4H-5Z",
    "M0 5L5 -4H-5Z",
    "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0 -4.5 0Z",
)
ASIDE = 3.0
ROW = 18.0
LONGEST = 50
NARROWEST = 34.0


@dataclass(frozen=True)
class Axis:
    """How a sweep's `x` is written: its title, its name in running text, and whether it is a fraction."""

    title: str
    noun: str
    fraction: bool = False

    def words(self, x: float) -> str:
        """One place on the axis: "20 %", "64"."""
        return nominal(x) if self.fraction else f"{x:,g}"


def sweep_chart(axis: Axis, curves: Sequence[tuple[str, Sweep]]) -> Markup:
    """AUC against `axis` for one or several named sweeps, with the chance line.

    A single curve has its interval as a band; several have whiskers, a mark and a colour each, and a key below.
    """
    rows = _key_rows([name for name, _ in curves]) if len(curves) > 1 else []
    box = replace(BOX, height=BOX.bottom + 50 + ROW * len(rows))
    points = [point for _, sweep in curves for point in sweep.points]
    x, y = _Places.of(points, axis, box), _vertical(points, box)
    drawn = [_band(curves[0][1], x, y)] if len(curves) == 1 else []
    drawn += [_curve(place, len(curves), sweep, x, y) for place, (_, sweep) in enumerate(curves)]
    names = ", ".join(name for name, _ in curves)
    return drawing(
        box,
        f"Attack AUC against {axis.noun}: {names}",
        axes(box, x, y, axis.title, "Attack AUC"),
        line([(box.left, y(CHANCE)), (box.right, y(CHANCE))], class_="chance"),
        group(drawn),
        group(_key(rows, box)),
        tips=[tip for name, sweep in curves for tip in _tips(name, sweep, axis, x, y)],
    )


@dataclass(frozen=True)
class _Places:
    """A straight scale whose ticks are the sweeps' own places, as many as can stand beside one another."""

    scale: Linear
    places: tuple[tuple[float, str], ...]

    @classmethod
    def of(cls, points: Sequence[SweepPoint], axis: Axis, box: Box) -> "_Places":
        values = sorted({point.x for point in points})
        room = 0.05 * (values[-1] - values[0]) or 1.0
        scale = Linear(values[0] - room, values[-1] + room, box.left, box.right)
        kept: list[tuple[float, str]] = []
        for value in reversed(values):
            if not kept or scale(kept[-1][0]) - scale(value) >= NARROWEST:
                kept.append((value, axis.words(value)))
        return cls(scale, tuple(reversed(kept)))

    def __call__(self, value: float) -> float:
        return self.scale(value)

    def ticks(self) -> list[tuple[float, str]]:
        return list(self.places)


def _vertical(points: Sequence[SweepPoint], box: Box) -> Linear:
    low = min([CHANCE, *(point.auc.interval.low for point in points)])
    high = max([CHANCE, *(point.auc.interval.high for point in points)])
    room = max(0.06 * (high - low), 0.01)
    return Linear(low - room, high + room, box.bottom, box.top)


def _band(sweep: Sweep, x: Scale, y: Scale) -> Markup:
    upper = [(x(point.x), y(point.auc.interval.high)) for point in sweep.points]
    lower = [(x(point.x), y(point.auc.interval.low)) for point in sweep.points]
    return area(upper, lower, class_="band attack")


def _curve(place: int, curves: int, sweep: Sweep, x: Scale, y: Scale) -> Markup:
    """One curve with its marks and whiskers, a little aside so that whiskers do not cover one another."""
    aside = ASIDE * (place - (curves - 1) / 2)
    at = [(x(point.x) + aside, y(point.auc.value)) for point in sweep.points]
    whiskers = [
        line([(spot[0], y(point.auc.interval.low)), (spot[0], y(point.auc.interval.high))], class_="reach")
        for spot, point in zip(at, sweep.points, strict=True)
    ]
    again = "again" if place >= len(COLOURS) else None
    marks = [_mark(place, spot) for spot in at]
    return group([*whiskers, line(at, class_=again), *marks], class_=f"lines {_colour(place)}")


def _mark(place: int, at: Point) -> Markup:
    return element(
        "path",
        d=MARKS[place % len(MARKS)],
        class_=f"shape {_colour(place)}",
        transform=f"translate({at[0]:.2f} {at[1]:.2f})",
    )


def _colour(place: int) -> str:
    return f"series-{COLOURS[place % len(COLOURS)]}"


def _key_rows(names: Sequence[str]) -> list[list[tuple[int, str]]]:
    """Entries (place, name) of the key, as many to a row as fit."""
    rows: list[list[tuple[int, str]]] = []
    left = 0.0
    for place, name in enumerate(names):
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        if not rows or _width(short) > left:
            rows.append([])
            left = BOX.width - BOX.left
        rows[-1].append((place, short))
        left -= _width(short)
    return rows


def _width(name: str) -> float:
    """Room that an entry of the key takes, its mark included."""
    return 34 + 6.6 * len(name)


def _key(rows: Sequence[Sequence[tuple[int, str]]], box: Box) -> list[Markup]:
    parts: list[Markup] = []
    for number, row in enumerate(rows):
        at, baseline = box.left, box.bottom + 60 + ROW * number
        for place, name in row:
            parts += [_mark(place, (at + 6, baseline - 4)), text(name, at + 18, baseline, class_="key")]
            at += _width(name)
    return parts


def _tips(name: str, sweep: Sweep, axis: Axis, x: Scale, y: Scale) -> list[tuple[Point, str]]:
    return [
        (
            (x(point.x), y(point.auc.value)),
            f"{name}, {axis.noun}: {axis.words(point.x)}\nAUC {estimate(point.auc)}\nbalanced accuracy "
            f"{percent(point.balanced_accuracy.value)} {percent_interval(point.balanced_accuracy.interval)}",
        )
        for point in sweep.points
    ]
