"""What is asked about an encoder, and how the answer is judged. A further one: its folder, its test, an entry here.

Their code is imported at its first use.
"""

from latentprint.attack_engine.attacks.definition import ATTRIBUTES, MEMBERSHIP, OWNERSHIP, USERS
from latentprint.attack_engine.questions.question import QUESTIONS

__all__ = ["QUESTIONS"]

QUESTIONS.add_lazily(
    MEMBERSHIP,
    f"{__name__}.membership.question:QUESTION",
    summary="whether a sample was in the encoder's training set",
    source="Shokri et al. 2017",
    needs={"samples": "members and non-members, some of them known"},
)
QUESTIONS.add_lazily(
    ATTRIBUTES,
    f"{__name__}.attributes.question:QUESTION",
    summary="what the embedding gives away of a sample beside what the encoder is for",
    source="Song and Raghunathan, CCS 2020; ContrastiveLeaks, CCS 2021",
    needs={"samples": "whose attribute is known: of a data set that names it, or sorted into folders"},
)
QUESTIONS.add_lazily(
    USERS,
    f"{__name__}.users.question:QUESTION",
    summary="whether the encoder was trained on images of a user, asked with other images of the same user",
    source="User-level membership inference against metric embedding learning, 2022",
    needs={"samples": "of people, a sub-folder each, or a split by users"},
)
QUESTIONS.add_lazily(
    OWNERSHIP,
    f"{__name__}.ownership.question:QUESTION",
    summary="whether an encoder was stolen from a victim, or made from its private images",
    source="Dziedzic et al. 2022",
    needs={"samples": "the victim's private images, and test images drawn alike", "models": "the victim itself"},
)
