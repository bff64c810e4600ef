"""Findings as one self-contained HTML page: no network, no external font or script."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.header import Outcome
from latentprint.attack_engine.report import words
from latentprint.attack_engine.report.page import page
from latentprint.attack_engine.report.palette import css_variables
from latentprint.attack_engine.report.parts import PACKAGE
from latentprint.attack_engine.report.questions import PARTS, part_of
from latentprint.core.text import visible

MANY_AUDITS = 24
# What is claimed has one look, what may not be believed another; the words tell them apart.
LOOKS_LIKE = {
    Outcome.FOUND: "leak",
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
    sections = [section for asked in arranged.asked for section in part_of(asked.question).sections]
    filled = [(section, section.content(arranged)) for section in sections]
    return template.render(page=arranged, sections=[(section, content) for section, content in filled if content])


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
        part_of=part_of,
        words=words,
        is_embedded=_is_embedded,
        many=MANY_AUDITS,
        **{part.folder: dict(part.helpers) for part in PARTS.values()},
    )
    return environment


def _visible(value: object) -> object:
    """What a template shows, without characters that turn or hide the text around them; markup is our own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _is_embedded(image: str) -> bool:
    return image.startswith("data:image/")
