"""What an audit of users finds, as plain data: what one of membership finds with users for samples, and more."""

from dataclasses import dataclass

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.questions.membership.results import MembershipResult
from latentprint.attack_engine.statistics.estimates import Interval


@dataclass(frozen=True)
class GroupRate:
    """How many of a group's evaluated users the attack calls members, by its own decision.

    Attributes:
        group: "training members" (the probe images were trained on), "non-training members" (other images of users who
            were trained on), "members" (where both kinds are among the probes), or "non-members".
        users, called: of the group, and of them called members.
        rate: the one over the other, with its interval.
    """

    group: str
    users: int
    called: int
    rate: float
    interval: Interval


@dataclass(frozen=True)
class UserAnswer:
    """What the attack says of one evaluated user.

    Attributes:
        user: the unit's id.
        name: the user's folder, or the id in words.
        member: the truth.
        score: higher for members.
        called: the attack's own decision.
        probability: of membership, calibrated; None where nothing is known to calibrate on.
        p_value: for "not a member", calibrated; None likewise.
    """

    user: int
    name: str
    member: bool
    score: float
    called: bool
    probability: float | None
    p_value: float | None


@dataclass(frozen=True)
class UsersResult(MembershipResult):
    """What only an audit of users finds; `MembershipResult` counts users here, and samples nowhere.

    Attributes:
        images: probe images read of every user.
        share: of a training user's probe images, the part that was trained on.
        groups: who is called a member, by group.
        users: the evaluated users, most probable members first.
        prior: share of members among those asked about that the probabilities assume.
        calibrated_on: whose scores the probabilities were calibrated on: "known users", "the shadow model's users", or
            "" for nobody's.
    """

    images: int = 0
    share: float = 0.0
    groups: tuple[GroupRate, ...] = ()
    users: tuple[UserAnswer, ...] = ()
    prior: float = 0.5
    calibrated_on: str = ""


UsersFinding = Finding[UsersResult]
