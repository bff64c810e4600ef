"""Findings as one self-contained HTML page: no network, no external font or script."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.header import Outcome
from latentprint.attack_engine.report import claims, measures, published, signs, sweeps, trade_off, words
from latentprint.attack_engine.report.assets import PACKAGE
from latentprint.attack_engine.report.charts.correlations import correlation_matrices
from latentprint.attack_engine.report.charts.curves import curves
from latentprint.attack_engine.report.charts.histogram import histogram, named_histogram
from latentprint.attack_engine.report.charts.roc import roc
from latentprint.attack_engine.report.charts.strip import strips
from latentprint.attack_engine.report.checks import checks
from latentprint.attack_engine.report.page import page
from latentprint.attack_engine.report.palette import css_variables
from latentprint.attack_engine.report.planes import plane_of
from latentprint.attack_engine.report.treatment import reading
from latentprint.core.text import visible

MANY_AUDITS = 24
# What separates members from non-members has one look, what may not be believed another; the words tell them apart.
LOOKS_LIKE = {
    Outcome.LEAK: "leak",
    Outcome.CONDITIONAL: "leak",
    Outcome.INDICATED: "leak",
    Outcome.REVERSED: "leak",
    Outcome.NONE: "none",
    Outcome.UNREADABLE: "invalid",
    Outcome.INVALID: "invalid",
}


def render(findings: Findings) -> str:
    """The whole page as text.

    It shows every number and chart without scripts; a small inline script adds hover details and a theme switch.
    All text from `findings` is escaped, and an image that is no data URI is left out, so that opening the page
    asks nothing of any network.
    """
    template = _environment().get_template("page.html.j2")
    arranged = page(findings)
    return template.render(
        page=arranged,
        strips=strips(findings.audits),
        sources=list(published.sources(findings)),
        trade_offs=list(trade_off.trade_offs(arranged.groups)),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = words.unbroken
    environment.globals.update(
        palette=css_variables(),
        looks_like=LOOKS_LIKE,
        charts={
            "roc": roc,
            "histogram": histogram,
            "curves": curves,
            "correlations": correlation_matrices,
            "named_histogram": named_histogram,
        },
        measures=measures.measures,
        key_figures=measures.headline,
        checks=checks,
        words=words,
        is_embedded=_is_embedded,
        many=MANY_AUDITS,
        reading=reading,
        **_comparing(),
    )
    return environment


def _comparing() -> dict[str, object]:
    """What the templates ask of the modules that set audits beside one another."""
    return {
        "overlays": sweeps.overlays,
        "drawn_sweeps": sweeps.drawn_sweeps,
        "chart_of": sweeps.chart_of,
        "axis_of": sweeps.axis_of,
        "plane_of": plane_of,
        "compare": signs.compare,
        "signs": signs.signs,
        "contradictions": signs.contradictions,
        "utilities": tuple(trade_off.UTILITIES),
        "claim": claims.claim,
        "judge": claims.judge,
        "metric_names": published.METRICS,
        "scale_line": published.scale_line,
    }


def _visible(value: object) -> object:
    """What a template shows, without characters that turn or hide the text around them; markup is our own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _is_embedded(image: str) -> bool:
    return image.startswith("data:image/")
