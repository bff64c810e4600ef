"""Which part of the report shows which question. A further one: its folder of templates, one entry here."""

from collections.abc import Mapping
from types import MappingProxyType

from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.report.membership.part import MEMBERSHIP_PART
from latentprint.attack_engine.report.parts import PLAIN, Part

PARTS: Mapping[str, Part] = MappingProxyType({MEMBERSHIP: MEMBERSHIP_PART})


def part_of(question: str) -> Part:
    """The part that shows `question`; the plain one where it has none of its own."""
    return PARTS.get(question, PLAIN)
