"""One audit's charts as files of their own, for a tracking server or a slide."""

import re
from collections.abc import Iterator

from markupsafe import Markup

from latentprint.attack_engine.questions.membership.results import Audit
from latentprint.attack_engine.report import sweeps
from latentprint.attack_engine.report.assets import asset
from latentprint.attack_engine.report.charts.correlations import correlation_matrices
from latentprint.attack_engine.report.charts.curves import curves
from latentprint.attack_engine.report.charts.histogram import histogram, named_histogram
from latentprint.attack_engine.report.charts.roc import roc
from latentprint.attack_engine.report.palette import with_light_colours


def figures(audit: Audit) -> dict[str, bytes]:
    """Standalone SVG files (UTF-8), by file name.

    `roc.svg`, `scores.svg`, one `curves-*.svg` per diagnostic, one `sweep-*.svg` per sweep, and of sequences
    `correlation-*.svg` and `histogram-*.svg`.
    """
    return {name: _standalone(chart) for name, chart in _charts(audit)}


def _charts(audit: Audit) -> Iterator[tuple[str, Markup]]:
    yield "roc.svg", roc(audit.evaluation)
    yield "scores.svg", histogram(audit.evaluation.histogram)
    for number, data in enumerate(audit.curves, 1):
        yield f"curves-{number}-{_slug(data.title)}.svg".replace("-.", "."), curves(data)

    for sweep in sweeps.drawn_sweeps(audit):
        yield f"sweep-{_slug(sweep.name)}.svg", sweeps.chart_of(audit, sweep)
    if audit.sequences is not None:
        for side, chart in correlation_matrices(audit.sequences.correlations):
            yield f"correlation-{_slug(side)}.svg", chart
        for number, named in enumerate(audit.sequences.histograms, 1):
            yield f"histogram-{number}-{_slug(named.title)}.svg".replace("-.", "."), named_histogram(named)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _standalone(chart: Markup) -> bytes:
    """The chart with its own style, in light colours on white."""
    css = asset("chart.css")
    style = f"<style>.chart{{background:#fff}}{with_light_colours(css)}</style>"
    opening, rest = chart.split(">", 1)
    return f"{opening}>{style}{rest}".encode()
