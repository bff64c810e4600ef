"""What every question's findings have in common: all that is read across audits is read from here alone.

Holm's correction, the report's matrix and forest plot, MLflow and whoever reads findings.json need nothing else; what
only one question has lies in `Finding.result`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.statistics.estimates import Estimate, Interval
from latentprint.attack_engine.statistics.figures import Figure

R_co = TypeVar("R_co", covariant=True)  # a finding of more is a finding of less


class Outcome(StrEnum):
    """The kinds of verdict. A question has words of its own for each: `Verdict.label`."""

    FOUND = "found"
    CONDITIONAL = "conditional"
    INDICATED = "indicated"
    NONE = "none"
    REVERSED = "reversed"
    UNREADABLE = "unreadable"
    INVALID = "invalid"

    @property
    def claims(self) -> bool:
        """Whether the effect is claimed, with or without a condition."""
        return self in (Outcome.FOUND, Outcome.CONDITIONAL, Outcome.INDICATED)

    @property
    def is_valid(self) -> bool:
        """Whether anything may be concluded from the audit."""
        return self not in (Outcome.UNREADABLE, Outcome.INVALID)


@dataclass(frozen=True)
class Verdict:
    """The outcome, the question's words for it, one sentence a lay reader understands, and the reasons by weight."""

    outcome: Outcome
    label: str
    sentence: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effect:
    """What was measured: its name ("AUC"), estimate and interval, and the value that it has where there is nothing."""

    name: str
    estimate: float
    interval: Interval
    null: float

    @classmethod
    def of(cls, name: str, measured: Estimate, null: float) -> "Effect":
        """The effect `name` as it was estimated."""
        return cls(name, measured.value, measured.interval, null)

    @property
    def contains_null(self) -> bool:
        """Whether the interval holds the value of no effect."""
        return self.interval.contains(self.null)


@dataclass(frozen=True)
class Control:
    """The same where the answer is known beforehand, and whether it came out so (`holds`).

    Of a `positive` one it is known that there is something to be found, of any other that there is nothing.
    """

    name: str
    description: str
    effect: Effect
    holds: bool
    positive: bool = False


@dataclass(frozen=True)
class VictimDescription:
    """The endpoint as it was seen. `card` is its metadata; `training` what is known of how it was made."""

    name: str
    url: str
    dataset: str
    card: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AttackDescription:
    """What was tried. `fitted_on` names the model other than the victim that it was fitted on; "" for none."""

    name: str
    summary: str
    source: str
    fitted_on: str = ""


@dataclass(frozen=True)
class Finding(Generic[R_co]):
    """What one audit found: one question, asked of one victim with one attack.

    Attributes:
        question: the name that it is registered under.
        victim, attack: who was asked, and how.
        effect: what was measured.
        p_value: of "there is nothing, or no more than with some control", before any correction for other audits.
        controls: each judged at a level corrected for all controls in the report.
        verdict: on this audit taken by itself.
        queries: what asking cost.
        digests: SHA-256 of the samples ("dataset") and of who is what ("split").
        figures: to be drawn beside the numbers.
        seed: of every fit and resample.
        result: what only this question has.
    """

    question: str
    victim: VictimDescription
    attack: AttackDescription
    effect: Effect
    p_value: float
    controls: tuple[Control, ...]
    verdict: Verdict
    queries: Queries
    digests: Mapping[str, str]
    figures: tuple[Figure, ...]
    seed: int
    result: R_co

    @property
    def name(self) -> str:
        """The audit in words: "partcrop on mae"."""
        return f"{self.attack.name} on {self.victim.name}"

    @property
    def failed_controls(self) -> tuple[Control, ...]:
        """The controls that found what cannot be there, or missed what is."""
        return tuple(control for control in self.controls if not control.holds)

    @property
    def failed_null_controls(self) -> tuple[Control, ...]:
        """The controls that found what cannot be there."""
        return tuple(control for control in self.failed_controls if not control.positive)
