"""What an evaluation finds, as plain data: all that a report reads.

Rates and probabilities are fractions throughout; scores are higher for members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latentprint.attack_engine.evaluation.diagnostics import Curves, Exposed, SequenceFigures
from latentprint.attack_engine.evaluation.estimates import Discoveries, Estimate, Evaluation, Sweep
from latentprint.attack_engine.evaluation.judgement import Validity, Verdict


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
