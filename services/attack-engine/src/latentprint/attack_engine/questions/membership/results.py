"""What an audit of membership finds, as plain data: rates are fractions, scores are higher for members."""

from collections.abc import Mapping
from dataclasses import dataclass

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.statistics.estimates import (
    BlindBaseline,
    Difference,
    Discoveries,
    EpsilonBound,
    Estimate,
    Histogram,
    Power,
    Roc,
    SplitTest,
    TailCount,
    TprAtFpr,
    Usage,
)


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

    `name` is "knowledge" (`x`: fraction of the members, and of the non-members, that are known), "queries" (`x`:
    images asked for one sample), or "share" (`x`: of a training user's images, the fraction that was trained on).
    """

    name: str
    points: tuple[SweepPoint, ...]


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
class Validity:
    """What the claim rests on beside the null controls, which are in the finding's header.

    Attributes:
        controls_in_report: null controls in all audits of the report together; each is judged at a level corrected for
            them.
        control_tails: the tail of each null control that has one, by the control's name.
        blind, split_test: of the samples alone.
        power: of both looks.
        differences: the attack less each control on the same samples.
        absent: names of the null controls that were not run.
        split_by: how members were told from non-members: "coin" (at random), "time", "source", or "" where that is not
            known.
        unreadable: why there is nothing to read, for the signal or the score is the same for every sample; "" where
            there is.
    """

    controls_in_report: int
    control_tails: Mapping[str, TailCount]
    blind: BlindBaseline
    split_test: SplitTest
    power: Power
    differences: tuple[Difference, ...] = ()
    absent: tuple[str, ...] = ()
    split_by: str = ""
    unreadable: str = ""


@dataclass(frozen=True)
class Artefact:
    """The attack on one encoder with all samples treated alike, and with members and non-members treated differently.

    `trained` tells the victim from its untrained twin. Where the encoder is untrained, all that `as_published` shows
    beyond chance is the artefact of the treatment.
    """

    trained: bool
    members: int
    non_members: int
    alike: Estimate
    alike_accuracy: Estimate
    as_published: Estimate
    as_published_accuracy: Estimate


@dataclass(frozen=True)
class CalledCandidate:
    """A candidate called a member: its file ("" where it is none), calibrated probability and p-value."""

    sample_id: int
    file: str
    probability: float
    p_value: float


@dataclass(frozen=True)
class Candidates:
    """What an audit says of samples whose membership nobody told it.

    Probabilities and p-values are calibrated on the evaluated samples, which the attack was not fitted on.

    Attributes:
        usage: the share of them that was used.
        fdr: at most this share of the called is wrong, on average.
        called: called members at that rate (Benjamini-Hochberg), most certain first; None where the verdict claims no
            leak, so that nobody is named.
        drawn_alike: two-sample test between the candidates and the members and non-members together: where it rejects,
            what was calibrated on those need not hold for these. None for a single candidate.
        used: how many were used, where an experiment knows it.
    """

    usage: Usage
    fdr: float
    called: tuple[CalledCandidate, ...] | None
    drawn_alike: SplitTest | None
    used: int | None


@dataclass(frozen=True)
class MembershipResult:
    """What only an audit of membership finds.

    Nobody is named at a false discovery rate (`discoveries` is None) where the verdict claims no leak, nor where no
    sample of the victim is known to calibrate on.

    Attributes:
        evaluation: all that the scores of the evaluated samples say.
        validity: what the claim rests on.
        discoveries: samples called members at a false discovery rate.
        most_exposed, least_exposed: the samples with the highest and the lowest scores.
        known_members, known_non_members: the victim's samples that the attack was fitted on.
        sweeps: the same with less of what the attacker has.
        artefacts: what the samples' treatment does.
        candidates: what is said of samples of unknown membership; None where there are none.
    """

    evaluation: Evaluation
    validity: Validity
    discoveries: Discoveries | None
    most_exposed: tuple[Exposed, ...]
    least_exposed: tuple[Exposed, ...]
    known_members: int
    known_non_members: int
    sweeps: tuple[Sweep, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    candidates: Candidates | None = None


MembershipFinding = Finding[MembershipResult]
