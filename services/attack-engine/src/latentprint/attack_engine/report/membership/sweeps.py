"""Sweeps as a reader sees them: how each axis is written, and which curves belong in one chart."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from markupsafe import Markup

from latentprint.attack_engine.questions.membership.results import MembershipFinding, Sweep
from latentprint.attack_engine.report.charts.sweep import Axis, sweep_chart
from latentprint.attack_engine.report.page import Group

AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "knowledge": Axis("Members and non-members that the attacker knows", "knowledge", fraction=True),
        "queries": Axis("Images asked for one sample", "images a sample"),
        "share": Axis("Training images among a training user’s", "share of training images", fraction=True),
    }
)


def axis_of(name: str) -> Axis:
    """How the axis of the sweep `name` is written; a sweep of another kind goes by its own name."""
    return AXES.get(name, Axis(name, name))


def drawn_sweeps(audit: MembershipFinding) -> list[Sweep]:
    """An audit's sweeps that have any point."""
    return [sweep for sweep in audit.result.sweeps if sweep.points]


def chart_of(audit: MembershipFinding, sweep: Sweep) -> Markup:
    """One audit's sweep."""
    return sweep_chart(axis_of(sweep.name), [(audit.attack.name, sweep)])


def overlays(group: Group) -> Iterator[tuple[str, Markup]]:
    """For every sweep that several of a victim's audits have: its name, and all their curves in one chart."""
    found = [(_curve_name(cell.finding), sweep) for cell in group.cells for sweep in drawn_sweeps(cell.finding)]
    for name in dict.fromkeys(sweep.name for _, sweep in found):
        curves = [(attack, sweep) for attack, sweep in found if sweep.name == name]
        if len(curves) > 1:
            yield name, sweep_chart(axis_of(name), curves)


def _curve_name(audit: MembershipFinding) -> str:
    return f"{audit.attack.name}, fitted on {audit.attack.fitted_on}" if audit.attack.fitted_on else audit.attack.name
