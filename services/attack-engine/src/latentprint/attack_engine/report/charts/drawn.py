"""A finding's figures as charts, each with the name of its file and what stands below it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latentprint.attack_engine.report.charts.correlations import correlation_matrices
from latentprint.attack_engine.report.charts.curves import curves
from latentprint.attack_engine.report.charts.histogram import named_histogram
from latentprint.attack_engine.report.words import NBSP
from latentprint.attack_engine.statistics.figures import Correlations, Curves, Figure

_CURVES = (
    f"Means with 95{NBSP}% bands, and their difference. A band of the difference clear of zero shows where the encoder "
    "answers differently for images it was trained on."
)


@dataclass(frozen=True)
class DrawnChart:
    """A chart: the stem of its file's name, its title, the caption that goes on after it, and the drawing."""

    name: str
    title: str
    caption: str
    drawing: Markup


def drawn_figures(figures: Sequence[Figure]) -> Iterator[DrawnChart]:
    """Every figure drawn, in the order given; those of one kind are numbered in their files' names."""
    numbers: Counter[str] = Counter()
    for figure in figures:
        numbers[figure.kind] += 1
        name = f"{figure.kind}-{numbers[figure.kind]}-{slug(figure.title)}".rstrip("-")
        if isinstance(figure, Curves):
            yield DrawnChart(name, figure.title, _CURVES, curves(figure))
        elif isinstance(figure, Correlations):
            for side, chart in correlation_matrices(figure):
                yield DrawnChart(f"{name}-{slug(side)}", f"{figure.title}, {side}", figure.note, chart)
        else:
            yield DrawnChart(name, figure.title, figure.note, named_histogram(figure))


def slug(title: str) -> str:
    """A title as part of a file's name: ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
