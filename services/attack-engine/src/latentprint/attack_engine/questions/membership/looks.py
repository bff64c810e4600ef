"""The two looks at an audit's scores, each against every control on the same samples, and what they allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from latentprint.attack_engine.evidence.controls import PLACEBO, UNTRAINED
from latentprint.attack_engine.questions.header import Outcome
from latentprint.attack_engine.questions.membership.results import Evaluation, Validity
from latentprint.attack_engine.statistics.estimates import Difference
from latentprint.core.splits import COIN

OVERALL, TAIL = "overall", "tail"


@dataclass(frozen=True)
class LeakEvidence:
    """The look that speaks louder for a leak, and the p-value of both looks together (Bonferroni)."""

    look: str
    p_value: float


def leak_evidence(evaluation: Evaluation, validity: Validity) -> LeakEvidence:
    """What speaks for a leak.

    A look's p-value is the largest of its own and of its differences from the controls: there is a leak only if the
    attack is above chance *and* above each of them (an intersection-union test, Berger 1982, which needs no correction
    for the number of controls). The two looks share the level.
    """
    differences = validity.differences
    overall = max([evaluation.p_value, *(one.p_above for one in differences)])
    tail = 1.0 if evaluation.tail is None else max([evaluation.tail.p_value, *_in_tail(differences)])
    return LeakEvidence(TAIL if tail < overall else OVERALL, min(1.0, 2.0 * min(overall, tail)))


def reversal(evaluation: Evaluation, validity: Validity) -> float:
    """The p-value of "non-members do not score above members, or no more so than with some control"."""
    return max([evaluation.p_value_below, *(one.p_below for one in validity.differences)])


def strongest_claim(validity: Validity) -> Outcome:
    """The most that an audit with these controls may claim."""
    if UNTRAINED in validity.absent:
        return Outcome.INDICATED
    if PLACEBO in validity.absent and validity.split_by != COIN:
        return Outcome.CONDITIONAL
    return Outcome.FOUND


def _in_tail(differences: Sequence[Difference]) -> list[float]:
    return [1.0 if one.p_tail is None else one.p_tail for one in differences]
