"""What is asked about an encoder, and how the answer is judged. A further one: its folder, its test, an entry here."""

from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.questions.membership.question import MembershipQuestion
from latentprint.attack_engine.questions.question import QUESTIONS

__all__ = ["QUESTIONS"]

QUESTIONS.add(
    MEMBERSHIP,
    MembershipQuestion(),
    summary="whether a sample was in the encoder's training set",
    source="Shokri et al. 2017",
)
