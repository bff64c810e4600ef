"""One finding's charts as files of their own, for a tracking server or a slide."""

from importlib.resources import files
from typing import Any

from markupsafe import Markup

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.report.palette import with_light_colours
from latentprint.attack_engine.report.parts import PACKAGE
from latentprint.attack_engine.report.questions import part_of


def figures(finding: Finding[Any]) -> dict[str, bytes]:
    """Standalone SVG files (UTF-8), by file name: every chart that the report shows of the finding."""
    return {f"{chart.name}.svg": _standalone(chart.drawing) for chart in part_of(finding.question).charts(finding)}


def _standalone(chart: Markup) -> bytes:
    """The chart with its own style, in light colours on white."""
    css = files(PACKAGE).joinpath("templates", "chart.css").read_text(encoding="utf-8")
    style = f"<style>.chart{{background:#fff}}{with_light_colours(css)}</style>"
    opening, rest = chart.split(">", 1)
    return f"{opening}>{style}{rest}".encode()
