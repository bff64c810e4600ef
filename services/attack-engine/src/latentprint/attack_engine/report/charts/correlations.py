"""Matrices of correlations: of members, of non-members, and their difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latentprint.attack_engine.report.charts.frame import Box, drawing
from latentprint.attack_engine.report.charts.svg import Point, element, group, text
from latentprint.attack_engine.report.words import decimal, signed
from latentprint.attack_engine.statistics.figures import Correlations

BOX = Box(left=104, top=12, bottom=268)
DEEPEST = 0.45  # opacity of a correlation of 1 or more: ink stays readable on it
_ABSENT = "–"
_TILT = -35

Row = Sequence[float | None]


def correlation_matrices(data: Correlations) -> Iterator[tuple[str, Markup]]:
    """Three charts, each with what it is of: "members", "non-members", "members less non-members"."""
    yield "members", _Matrix(data, data.members, "members").draw()
    yield "non-members", _Matrix(data, data.non_members, "non-members").draw()
    difference = "members less non-members"
    yield difference, _Matrix(data, _difference(data), difference, signs=True).draw()


def _difference(data: Correlations) -> list[Row]:
    return [
        [None if a is None or b is None else a - b for a, b in zip(first, second, strict=True)]
        for first, second in zip(data.members, data.non_members, strict=True)
    ]


@dataclass(frozen=True)
class _Matrix:
    """One square: a tint and a number for each pair."""

    data: Correlations
    rows: Sequence[Row]
    side: str
    signs: bool = False

    @property
    def wide(self) -> float:
        return (BOX.right - BOX.left) / len(self.data.names)

    @property
    def high(self) -> float:
        return (BOX.bottom - BOX.top) / len(self.data.names)

    def draw(self) -> Markup:
        places = [(row, column) for row in range(len(self.rows)) for column in range(len(self.rows))]
        below = [place for place in places if place[0] > place[1]]
        spoken = "; ".join(f"{self.pair(*place)} {self.written(*place)}" for place in below)
        return drawing(
            BOX,
            f"{self.data.title}, {self.side}: {spoken}",
            group([self.cell(*place) for place in places]),
            group([label for number, name in enumerate(self.data.names) for label in self.labels(number, name)]),
            tips=[
                (self.middle(*place), f"{self.pair(*place)}\n{self.side} {self.written(*place, digits=3)}")
                for place in places
            ],
        )

    def pair(self, row: int, column: int) -> str:
        return f"{self.data.names[row]} and {self.data.names[column]}"

    def written(self, row: int, column: int, digits: int = 2) -> str:
        value = self.rows[row][column]
        if value is None:
            return _ABSENT
        return signed(value, digits) if self.signs else decimal(value, digits)

    def middle(self, row: int, column: int) -> Point:
        return BOX.left + (column + 0.5) * self.wide, BOX.top + (row + 0.5) * self.high

    def cell(self, row: int, column: int) -> Markup:
        x, y = self.middle(row, column)
        value = self.rows[row][column] or 0.0
        tint = element(
            "rect",
            x=x - self.wide / 2 + 1,
            y=y - self.high / 2 + 1,
            width=self.wide - 2,
            height=self.high - 2,
            class_=f"tint {'above' if value > 0 else 'below'}",
            fill_opacity=DEEPEST * min(1.0, abs(value)),
        )
        return group([tint, text(self.written(row, column), x, y + 4, class_="value", text_anchor="middle")])

    def labels(self, number: int, name: str) -> tuple[Markup, Markup]:
        x, y = self.middle(number, number)
        turned = f"translate({x:g} {BOX.bottom + 14:g}) rotate({_TILT})"
        return (
            text(name, BOX.left - 8, y + 4, class_="label", text_anchor="end"),
            text(name, 0, 0, class_="label", text_anchor="end", transform=turned),
        )
