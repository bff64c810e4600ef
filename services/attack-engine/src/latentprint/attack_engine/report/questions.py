"""Which part of the report shows which question. A further one: its folder of templates, one entry here."""

from collections.abc import Mapping
from types import MappingProxyType

from latentprint.attack_engine.attacks.definition import ATTRIBUTES, MEMBERSHIP, OWNERSHIP, USERS
from latentprint.attack_engine.questions.attributes.results import AttributesFinding
from latentprint.attack_engine.report.membership.part import MEMBERSHIP_PART
from latentprint.attack_engine.report.ownership.part import OWNERSHIP_PART
from latentprint.attack_engine.report.parts import PLAIN, Part
from latentprint.attack_engine.report.users.part import USERS_PART


def _counts(finding: AttributesFinding) -> Mapping[str, int]:
    return {"Known samples": finding.result.known, "Evaluated samples": finding.result.evaluated}


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        MEMBERSHIP: MEMBERSHIP_PART,
        USERS: USERS_PART,
        ATTRIBUTES: Part(ATTRIBUTES, PLAIN.charts, _counts),
        OWNERSHIP: OWNERSHIP_PART,
    }
)


def part_of(question: str) -> Part:
    """The part that shows `question`; the plain one where it has none of its own."""
    return PARTS.get(question, PLAIN)
