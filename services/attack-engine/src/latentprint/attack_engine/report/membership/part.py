"""What the report shows of audits of membership: their charts, their sections, and what their templates call."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.questions.membership.results import MembershipFinding
from latentprint.attack_engine.report.charts.drawn import DrawnChart, drawn_figures, slug
from latentprint.attack_engine.report.charts.histogram import histogram
from latentprint.attack_engine.report.charts.roc import roc
from latentprint.attack_engine.report.membership import checks, claims, measures, published, signs, sweeps, trade_off
from latentprint.attack_engine.report.page import Page
from latentprint.attack_engine.report.parts import Part, Section
from latentprint.attack_engine.report.words import NBSP, plural

_ROC = (
    "Share of members found against share of non-members wrongly named, both axes logarithmic. A curve above the "
    "dotted line tells members apart; nothing left of one false positive can be measured."
)
_SWEEP = f"The same evaluated samples throughout; the band is the 95{NBSP}% interval and the dotted line is chance."


def charts(finding: MembershipFinding) -> Iterator[DrawnChart]:
    """ROC, scores, the attack's own figures, and sweeps."""
    evaluation = finding.result.evaluation
    sides = f"{plural(evaluation.members, 'member')} and {plural(evaluation.non_members, 'non-member')}"
    scores = f"How the attack scored {sides}. Where the two shapes coincide, scores say nothing."
    yield DrawnChart("roc", "ROC", _ROC, roc(evaluation))
    yield DrawnChart("scores", "Scores", scores, histogram(evaluation.histogram))
    yield from drawn_figures(finding.figures)
    for sweep in sweeps.drawn_sweeps(finding):
        title = f"AUC against {sweeps.axis_of(sweep.name).noun}"
        yield DrawnChart(f"sweep-{slug(sweep.name)}", title, _SWEEP, sweeps.chart_of(finding, sweep))


def counts(finding: MembershipFinding) -> Mapping[str, int]:
    """How many samples were known and evaluated."""
    result = finding.result
    return {
        "Known members": result.known_members,
        "Known non-members": result.known_non_members,
        "Evaluated members": result.evaluation.members,
        "Evaluated non-members": result.evaluation.non_members,
    }


def _trade_offs(page: Page) -> list[object]:
    return list(trade_off.trade_offs(page.groups_of(MEMBERSHIP)))


def published_section(question: str) -> Section:
    """A paper's numbers beside those of the audits of `question`; what belongs to another question's is left out."""

    def sources(page: Page) -> list[object]:
        others = {finding.attack.name for finding in page.findings.audits if finding.question != question}
        numbers = tuple(one for one in page.findings.published if one.attack not in others)
        audits = tuple(finding for finding in page.findings.audits if finding.question == question)
        return list(published.sources(replace(page.findings, audits=audits, published=numbers)))

    anchor = "published" if question == MEMBERSHIP else f"published-{question}"
    return Section(anchor, "Published and measured", "membership/published.html.j2", sources)


def _artefacts(page: Page) -> list[object]:
    return [(finding, artefact) for finding in _own(page) for artefact in finding.result.artefacts]


def _with_candidates(page: Page) -> list[object]:
    return [finding for finding in _own(page) if finding.result.candidates is not None]


def _own(page: Page) -> tuple[MembershipFinding, ...]:
    return tuple(finding for finding in page.findings.audits if finding.question == MEMBERSHIP)


MEMBERSHIP_PART = Part(
    folder=MEMBERSHIP,
    charts=charts,
    counts=counts,
    sections=(
        published_section(MEMBERSHIP),
        Section("candidates", "Candidates", "membership/candidates.html.j2", _with_candidates),
        Section("trade-offs", "Defences", "membership/trade_offs.html.j2", _trade_offs),
        Section("treatment", "As published", "membership/treatment.html.j2", _artefacts),
    ),
    helpers={
        "measures": measures.measures,
        "key_figures": measures.headline,
        "checks": checks.checks,
        "overlays": sweeps.overlays,
        "drawn_sweeps": sweeps.drawn_sweeps,
        "axis_of": sweeps.axis_of,
        "plane_of": trade_off.plane_of,
        "utilities": tuple(trade_off.UTILITIES),
        "compare": signs.compare,
        "signs": signs.signs,
        "contradictions": signs.contradictions,
        "claim": claims.claim,
        "judge": claims.judge,
        "metric_names": published.METRICS,
        "scale_line": published.scale_line,
        "reading": published.reading_of_treatment,
    },
)
