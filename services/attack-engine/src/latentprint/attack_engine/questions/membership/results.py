"""What an audit of membership finds, as plain data: rates are fractions, scores are higher for members."""

from dataclasses import dataclass

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.questions.header import Verdict, Victim
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
)
from latentprint.attack_engine.statistics.figures import Curves, SequenceFigures


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
class Audit:
    """One cell: a victim under one attack.

    `shadow` names the encoder on which the attack was fitted in the shadow setting, and is "" in the partial setting.
    Nobody is named at a false discovery rate where the verdict claims no leak, nor in the shadow setting, where no
    sample of the victim is known to calibrate on.
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
