"""What an audit's claim rests on, as plain data: controls, baselines, power, and the verdict."""

from dataclasses import dataclass
from enum import StrEnum

from latentprint.attack_engine.evaluation.estimates import Estimate, TailCount


class Outcome(StrEnum):
    """The verdict's kinds."""

    LEAK = "leak found"
    CONDITIONAL = "leak found, if drawn alike"
    INDICATED = "leak indicated"
    NONE = "none found at this power"
    REVERSED = "separates in the other direction"
    UNREADABLE = "not valid: nothing to read"
    INVALID = "not valid"

    @property
    def claims_leak(self) -> bool:
        """Whether it claims a leak, with or without a condition."""
        return self in (Outcome.LEAK, Outcome.CONDITIONAL, Outcome.INDICATED)

    @property
    def is_valid(self) -> bool:
        """Whether anything may be concluded from the audit."""
        return self not in (Outcome.UNREADABLE, Outcome.INVALID)


@dataclass(frozen=True)
class NullControl:
    """The same attack where nothing can leak.

    It holds if, at the corrected level, its AUC interval contains 0.5 and its `tail` is no longer than by guessing.
    """

    name: str
    description: str
    auc: Estimate
    holds: bool
    tail: TailCount | None = None


@dataclass(frozen=True)
class Difference:
    """The attack less a control on the same samples.

    One-sided p-values of "the attack's AUC is no higher", "... no lower", and of "it finds no more in the tail"; the
    last is None without a tail.
    """

    control: str
    auc: Estimate
    p_above: float
    p_below: float
    p_tail: float | None


@dataclass(frozen=True)
class BlindBaseline:
    """Members against non-members from the images alone, cross-fitted."""

    auc: Estimate
    above_chance: bool
    features: str


@dataclass(frozen=True)
class SplitTest:
    """Two-sample test between member and non-member images."""

    method: str
    statistic: float
    p_value: float
    rejects: bool


@dataclass(frozen=True)
class Power:
    """What this many samples can show: the smallest AUC found with probability `power`, and what a rate would need.

    `detectable_share` is the smallest share of fully exposed members that the tail shows; None where it is off.
    """

    members: int
    non_members: int
    power: float
    detectable_auc: float
    target_fpr: float
    non_members_to_resolve: int
    detectable_share: float | None = None


@dataclass(frozen=True)
class Validity:
    """The validity block of one audit.

    Attributes:
        null_controls: each judged at a level corrected for `controls_in_report`.
        controls_in_report: null controls in all audits of the report together.
        blind, split_test: of the samples alone.
        power: of both looks.
        differences: the attack less each control on the same samples.
        absent: names of the null controls that were not run.
        split_by: how members were told from non-members: "coin" (at random), "time", "source", or "" where that is not
            known.
        constant: whether the signal, or the score, is the same for every sample.
    """

    null_controls: tuple[NullControl, ...]
    controls_in_report: int
    blind: BlindBaseline
    split_test: SplitTest
    power: Power
    differences: tuple[Difference, ...] = ()
    absent: tuple[str, ...] = ()
    split_by: str = ""
    constant: bool = False


@dataclass(frozen=True)
class Verdict:
    """The outcome, one sentence a lay reader understands, and the reasons in order of weight."""

    outcome: Outcome
    sentence: str
    reasons: tuple[str, ...]
