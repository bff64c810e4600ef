"""What the report shows of audits of users: the charts of membership, and who is called a member by group."""

from collections.abc import Mapping
from types import MappingProxyType

from latentprint.attack_engine.attacks.definition import USERS
from latentprint.attack_engine.questions.users.results import UsersFinding, UsersResult
from latentprint.attack_engine.report.membership.part import charts, published_section
from latentprint.attack_engine.report.parts import Part

_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "training members": "The very images that were trained on.",
        "non-training members": "Images of users who were trained on, which the encoder never saw itself.",
        "members": "Images of users who were trained on, whatever was done with these.",
        "non-members": "Images of users of whom the encoder saw none.",
    }
)


def counts(finding: UsersFinding) -> Mapping[str, int]:
    """How many users were known and evaluated, and images read of each."""
    result = finding.result
    return {
        "Known member users": result.known_members,
        "Known non-member users": result.known_non_members,
        "Evaluated member users": result.evaluation.members,
        "Evaluated non-member users": result.evaluation.non_members,
        "Images a user": result.images,
    }


def named(result: UsersResult) -> list[str]:
    """The users called members at a false discovery rate, most certain first, by name."""
    names = {one.user: one.name for one in result.users}
    return [] if result.discoveries is None else [names[user] for user in result.discoveries.sample_ids]


USERS_PART = Part(
    folder=USERS,
    charts=charts,
    counts=counts,
    sections=(published_section(USERS),),
    helpers={"meanings": _MEANINGS, "named": named},
)
