"""What the report shows of audits of ownership: the suspect beside its controls, and beside the published p-values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from latentprint.attack_engine.attacks.definition import OWNERSHIP
from latentprint.attack_engine.questions.ownership.results import SUSPECT, OwnershipFinding, PublishedPValues
from latentprint.attack_engine.report.charts.drawn import DrawnChart, drawn_figures
from latentprint.attack_engine.report.charts.histogram import histogram
from latentprint.attack_engine.report.parts import Part
from latentprint.attack_engine.report.words import plural
from latentprint.attack_engine.statistics.estimates import MeanDifference


@dataclass(frozen=True)
class OwnershipRow:
    """One encoder of an audit: its difference, the suspect's lead over it, and what was published of such scores.

    `holds` is None for the suspect, and `lead` for it and for the victim itself.
    """

    name: str
    difference: MeanDifference
    lead: MeanDifference | None
    published: PublishedPValues
    holds: bool | None


def rows(finding: OwnershipFinding) -> Iterator[OwnershipRow]:
    """The suspect and every control."""
    result = finding.result
    yield OwnershipRow(SUSPECT, result.difference, None, result.published[SUSPECT], None)
    for control in finding.controls:
        name = control.name
        yield OwnershipRow(name, result.controls[name], result.paired.get(name), result.published[name], control.holds)


def charts(finding: OwnershipFinding) -> Iterator[DrawnChart]:
    """The suspect's scores, and the attack's own figures."""
    tested = finding.result.difference
    caption = (
        f"Scores of {plural(tested.members, 'held-out private image')} (members) and "
        f"{plural(tested.non_members, 'test image')} (non-members). Where the two shapes coincide, the suspect has "
        "nothing of the private images."
    )
    yield DrawnChart("scores", "Scores", caption, histogram(finding.result.histogram))
    yield from drawn_figures(finding.figures)


def counts(finding: OwnershipFinding) -> Mapping[str, int]:
    """How many images the test was fitted on, and how many it scored."""
    result = finding.result
    return {
        "Known private images": result.known_private,
        "Held-out private images": result.difference.members,
        "Test images": result.difference.non_members,
    }


OWNERSHIP_PART = Part(folder=OWNERSHIP, charts=charts, counts=counts, helpers={"rows": rows})
