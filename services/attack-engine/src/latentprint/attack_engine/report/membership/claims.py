"""A claimed differential-privacy guarantee beside what an audit rules out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latentprint.attack_engine.questions.membership.results import MembershipFinding
from latentprint.attack_engine.report import words


@dataclass(frozen=True)
class Claim:
    """An accountant's upper bound on epsilon; `delta` is None where it was not recorded."""

    epsilon: float
    delta: float | None

    @property
    def text(self) -> str:
        """The claim as a reader sees it."""
        at = "δ not recorded" if self.delta is None else f"δ = {words.power(self.delta)}"
        return f"ε ≤ {words.decimal(self.epsilon, 2)} ({at})"


def number(training: Mapping[str, Any], key: str) -> float | None:
    """The number at `key` of a training's summary, a free mapping; None where there is none."""
    value = training.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def claim(training: Mapping[str, Any]) -> Claim | None:
    """The guarantee that a training's accountant gives; None where it gives none."""
    privacy = training.get("privacy")
    if not isinstance(privacy, Mapping):
        return None
    epsilon = number(privacy, "epsilon")
    return None if epsilon is None else Claim(epsilon, number(privacy, "delta"))


def contradicts(claimed: Claim, audit: MembershipFinding) -> bool:
    """Whether a valid audit's lower bound on epsilon exceeds a claim.

    A claim at some delta holds at every larger one too, so that a bound at a smaller delta cannot contradict it.
    """
    bound = audit.result.evaluation.epsilon
    comparable = claimed.delta is not None and bound.delta >= claimed.delta
    return audit.verdict.outcome.is_valid and comparable and bound.epsilon > claimed.epsilon


def judge(claimed: Claim, audit: MembershipFinding) -> str:
    """What an audit says of a claim, in words."""
    if contradicts(claimed, audit):
        return "claim contradicted"
    if not audit.verdict.outcome.is_valid:
        return "not checked: the audit is not valid"
    if claimed.delta is None:
        return "not checked: the claim’s δ is unknown"
    if audit.result.evaluation.epsilon.delta < claimed.delta:
        return "not checked: the bound is at a smaller δ than the claim"
    return "claim not contradicted"
