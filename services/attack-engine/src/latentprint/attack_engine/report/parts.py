"""A question's part of the report: a folder of templates, the charts of its findings, and sections across audits.

The folder holds `finding.html.j2` (the body of one finding), `overview.html.j2` (what stands above the forest plot) and
where there is something to say, `verdict.html.j2` (beside the cost), `victim.html.j2` (above a victim's findings) and
`reading.html.j2` (how to read it). A question without a part of its own is shown from the header alone, by `plain/`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.report.charts.drawn import DrawnChart, drawn_figures
from latentprint.attack_engine.report.page import Page

PACKAGE = "latentprint.attack_engine.report"


@dataclass(frozen=True)
class Section:
    """A section of its own, left out where it has no content.

    Attributes:
        anchor: its place on the page.
        title: in the contents.
        template: below `templates/`; it finds what `content` gave as `content`.
        content: what it shows of a page.
    """

    anchor: str
    title: str
    template: str
    content: Callable[[Page], Sequence[object]]


@dataclass(frozen=True)
class Part:
    """How one question's findings are shown.

    Attributes:
        folder: of its templates, below `templates/`; its `helpers` go by this name in them.
        charts: of one finding, in the order shown.
        counts: of one finding, for the appendix: heading to number.
        sections: across audits.
        helpers: what its templates call.
    """

    folder: str
    charts: Callable[[Finding[Any]], Iterator[DrawnChart]]
    counts: Callable[[Finding[Any]], Mapping[str, int]] = field(default=lambda finding: {})
    sections: tuple[Section, ...] = ()
    helpers: Mapping[str, object] = field(default_factory=dict)


def _figures(finding: Finding[Any]) -> Iterator[DrawnChart]:
    return drawn_figures(finding.figures)


PLAIN = Part("plain", _figures)
