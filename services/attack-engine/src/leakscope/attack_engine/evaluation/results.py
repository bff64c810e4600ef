"""What an evaluation finds, as plain data: all that a report reads.

Rates and probabilities are fractions throughout; scores are higher for members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True)
class Exposed:
    """One evaluated sample with its score and a PNG thumbnail as a data URI; `file` is its path, where it has one."""

    sample_id: int
    member: bool
    score: float
    percentile: float
    image: str
    file: str = ""


@dataclass(frozen=True)
class Curves:
    """Mean diagnostic curves of members and non-members with standard errors, as a signal recorded them."""

    title: str
    x_label: str
    y_label: str
    members: tuple[float, ...]
    members_error: tuple[float, ...]
    non_members: tuple[float, ...]
    non_members_error: tuple[float, ...]


@dataclass(frozen=True)
class NamedHistogram:
    """A histogram over the evaluated samples of something that is no score."""

    title: str
    x_label: str
    histogram: Histogram


@dataclass(frozen=True)
class Correlations:
    """Mean correlations between sequences of values, of members and of non-members.

    `members` and `non_members` hold a row for each of `names`, of as many values in [-1, 1]; None where no sample has
    two sequences that vary.
    """

    title: str
    names: tuple[str, ...]
    members: tuple[tuple[float | None, ...], ...]
    non_members: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class SequenceFigures:
    """What sets sequences of members apart from those of non-members, beside their means, which are `Curves`."""

    correlations: Correlations
    histograms: tuple[NamedHistogram, ...]


@dataclass(frozen=True)
class Queries:
    """Images, not requests: sent over the wire, answered, taken from kept answers, sent again after a failure.

    `canaries` were asked beside them, once for all attacks on the endpoint, to tell whether its model stayed the same;
    `unchecked` says why a change would have passed unseen, "" where it would not. The first and the last answer's times
    are UTC, in ISO 8601; "" where they are not known.
    """

    sent: int
    answered: int
    cached: int
    retried: int
    budget: int | None
    seconds: float
    first_answer: str = ""
    last_answer: str = ""
    canaries: int = 0
    unchecked: str = ""


@dataclass(frozen=True)
class Victim:
    """The endpoint as it was seen. `card` is its metadata; `training` what is known of how it was made."""

    name: str
    url: str
    dataset: str
    card: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Audit:
    """One cell: a victim under one attack.

    `shadow` names the encoder on which the attack was fitted in the shadow setting, and is "" in the partial setting.
    In the shadow setting no sample of the victim is known, so that nobody can be named at a false discovery rate.
    """

    victim: Victim
    attack: str
    attack_summary: str
    attack_source: str
    evaluation: Evaluation
    validity: Validity
    verdict: Verdict
    discoveries: Discoveries | None
    most_exposed: tuple[Exposed, ...]
    least_exposed: tuple[Exposed, ...]
    curves: tuple[Curves, ...]
    queries: Queries
    known_members: int
    known_non_members: int
    seed: int
    split_digest: str
    dataset_digest: str
    shadow: str = ""
    sweeps: tuple[Sweep, ...] = ()
    sequences: SequenceFigures | None = None


@dataclass(frozen=True)
class Published:
    """A paper's number for one audit, or for one point of its sweep.

    Attributes:
        source: where it stands, such as "PartCrop, Table 3".
        victim, attack, shadow: the audit that it belongs beside.
        metrics: fractions by name: accuracy (balanced), precision, recall, f1, auc, tpr_at_0.001_fpr, tpr_at_0.01_fpr;
            of the victim itself probe_accuracy, train_accuracy, test_accuracy, accuracy_gap (between those two).
        knowledge, queries: the sweep's point; None for the audit as a whole.
    """

    source: str
    victim: str
    attack: str
    metrics: Mapping[str, float]
    shadow: str = ""
    knowledge: float | None = None
    queries: int | None = None


@dataclass(frozen=True)
class Artefact:
    """An attack on one encoder, with all samples treated alike and with members and non-members treated differently.

    Where the encoder is untrained, all that `as_published` shows beyond chance is the artefact of the treatment.
    """

    victim: str
    attack: str
    trained: bool
    members: int
    non_members: int
    alike: Estimate
    alike_accuracy: Estimate
    as_published: Estimate
    as_published_accuracy: Estimate


@dataclass(frozen=True)
class LeftOut:
    """Entries of a folder that are no samples, all for one reason: how many, and the first of them by name."""

    reason: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class SampleFolder:
    """A folder that samples were read from: its path, how many images it gave, and what was left out of it."""

    path: str
    images: int
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class SharedImage:
    """A member, and the closest non-member that shows its image: by file or number; the same pixels, or re-encoded."""

    member: str
    non_member: str
    same_pixels: bool


@dataclass(frozen=True)
class Findings:
    """A whole report: its audits, the overall verdict, and what made them.

    `scale` is the scale that the experiment was run at ("" where it has none); `published` are a paper's numbers to
    stand beside the measured ones; `artefacts` the control experiment on how the samples were treated. `folders` are
    where samples came from that are files of the user's own, `shared` those that lie on both sides.
    """

    title: str
    created: str
    verdict: Verdict
    audits: tuple[Audit, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    scale: str = ""
    published: tuple[Published, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    folders: tuple[SampleFolder, ...] = ()
    shared: tuple[SharedImage, ...] = ()
