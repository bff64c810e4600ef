"""What scores say, as plain data: rates and probabilities are fractions, scores are higher for members."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A confidence interval [low, high] at `level` (0.95 = 95 %), and how it was made."""

    low: float
    high: float
    level: float
    method: str

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class TprAtFpr:
    """The largest TPR whose realised FPR does not exceed `target_fpr`.

    Where `target_fpr` < 1 / non_members nothing is resolvable: `tpr`, `threshold`, `realised_fpr` and the
    intervals are None. `interval` is Clopper-Pearson at the threshold; `threshold_interval` the bootstrap's, which also
    holds the threshold's own uncertainty.
    """

    target_fpr: float
    members: int
    non_members: int
    tpr: float | None
    threshold: float | None
    true_positives: int | None
    false_positives: int | None
    realised_fpr: float | None
    interval: Interval | None
    threshold_interval: Interval | None

    @property
    def resolvable(self) -> bool:
        """Whether there are enough non-members for `target_fpr` to exist."""
        return self.tpr is not None


@dataclass(frozen=True)
class Roc:
    """ROC points in order of falling threshold, with a pointwise band for TPR. All lists have one length."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    tpr_low: tuple[float, ...]
    tpr_high: tuple[float, ...]
    level: float


@dataclass(frozen=True)
class Histogram:
    """Counts of scores of both sides over common `edges` (one longer than the counts)."""

    edges: tuple[float, ...]
    members: tuple[int, ...]
    non_members: tuple[int, ...]


@dataclass(frozen=True)
class EpsilonBound:
    """Lower bound on epsilon at `delta` that holds with probability `level`, corrected for `thresholds` searched."""

    epsilon: float
    delta: float
    level: float
    thresholds: int


@dataclass(frozen=True)
class TailCount:
    """Members above the threshold that `false_positives` non-members are allowed to pass.

    `false_positives` follows from `target_fpr` and the sizes alone; `expected` members stand there where scores tell
    nothing, and `p_value` is exact.
    """

    target_fpr: float
    members: int
    non_members: int
    true_positives: int
    false_positives: int
    expected: float
    p_value: float


@dataclass(frozen=True)
class Discoveries:
    """Samples called members at a false discovery rate of at most `fdr` (Benjamini-Hochberg)."""

    fdr: float
    sample_ids: tuple[int, ...]
    true_members: int


@dataclass(frozen=True)
class Usage:
    """The share of members among candidates, estimated twice, or why it is not.

    Attributes:
        candidates: how many there are.
        needed: how many it takes with this attack and these known samples; None where no number does.
        gap: TPR less FPR of the attack's decision, on the known samples.
        debiased: from the decisions; None where it is refused.
        likelihood: from the scores, by maximum likelihood; None where it is refused, or all scores are equal.
        refused: why there is no estimate; "" where there is one.
    """

    candidates: int
    needed: int | None
    gap: Estimate
    debiased: Estimate | None
    likelihood: Estimate | None
    refused: str = ""


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
class MeanDifference:
    """How far members' scores lie above non-members' on average, in standard deviations.

    One-sided p-values of "no higher on average": Welch's t, and the same statistic under permuted membership.
    """

    members: int
    non_members: int
    difference: Estimate
    welch_p: float
    permutation_p: float

    @property
    def p_value(self) -> float:
        """The larger of the two, so that neither skewed scores nor few samples make a claim."""
        return max(self.welch_p, self.permutation_p)


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
