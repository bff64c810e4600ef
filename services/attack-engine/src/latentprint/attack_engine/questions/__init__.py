"""What is asked about an encoder, and how the answer is judged. A further one: its folder, its test, an entry here."""

from latentprint.attack_engine.attacks.definition import ATTRIBUTES, MEMBERSHIP, OWNERSHIP, USERS
from latentprint.attack_engine.questions.attributes.question import AttributesQuestion
from latentprint.attack_engine.questions.membership.question import MembershipQuestion
from latentprint.attack_engine.questions.ownership.question import OwnershipQuestion
from latentprint.attack_engine.questions.question import QUESTIONS
from latentprint.attack_engine.questions.users.question import UsersQuestion

__all__ = ["QUESTIONS"]

QUESTIONS.add(
    MEMBERSHIP,
    MembershipQuestion(),
    summary="whether a sample was in the encoder's training set",
    source="Shokri et al. 2017",
)
QUESTIONS.add(
    ATTRIBUTES,
    AttributesQuestion(),
    summary="what the embedding gives away of a sample beside what the encoder is for",
    source="Song and Raghunathan, CCS 2020; ContrastiveLeaks, CCS 2021",
)
QUESTIONS.add(
    USERS,
    UsersQuestion(),
    summary="whether the encoder was trained on images of a user, asked with other images of the same user",
    source="User-level membership inference against metric embedding learning, 2022",
)
QUESTIONS.add(
    OWNERSHIP,
    OwnershipQuestion(),
    summary="whether an encoder was stolen from a victim, or made from its private images",
    source="Dziedzic et al. 2022",
)
