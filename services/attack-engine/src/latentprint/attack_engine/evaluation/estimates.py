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
class Evaluation:
    """Everything that two arrays of scores say. Decisions are at the inference model's own threshold.

    `p_value` is one-sided, of AUC <= 0.5, and dual to the AUC's interval: below (1 - level) / 2 exactly where that
    lies above 0.5; `p_value_below` is that of AUC >= 0.5. `tail` is None with too few non-members for a tail.
    """

    members: int
    non_members: int
    auc: Estimate
    balanced_accuracy: Estimate
    precision: float | None
    recall: float
    f1: float
    tpr_at_fpr: tuple[TprAtFpr, ...]
    epsilon: EpsilonBound
    roc: Roc
    histogram: Histogram
    p_value: float = 1.0
    p_value_below: float = 1.0
    tail: TailCount | None = None


@dataclass(frozen=True)
class SweepPoint:
    """An audit's result with less of what the attacker has: `x` is how much of it, as the sweep's axis counts."""

    x: float
    auc: Estimate
    balanced_accuracy: Estimate


@dataclass(frozen=True)
class Sweep:
    """One audit repeated on the same evaluated samples with more and more of one thing, points by rising `x`.

    `name` is "knowledge" (`x`: fraction of the members, and of the non-members, that are known) or "queries" (`x`:
    images asked for one sample).
    """

    name: str
    points: tuple[SweepPoint, ...]
