"""A whole report as plain data: what findings.json holds. Rates and probabilities are fractions throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latentprint.attack_engine.questions.header import Finding, Verdict


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
    """A whole report: what each audit found, the overall verdict, and what made them.

    Attributes:
        title: of the report.
        created: when, UTC, in ISO 8601.
        verdict: on all audits together.
        audits: what each found.
        configuration: what was asked for.
        versions: of the libraries that made it.
        scale: that the experiment was run at, "" where it has none.
        published: a paper's numbers, to stand beside the measured ones.
        folders: where samples came from that are files of the user's own.
        shared: images that lie on both sides.
    """

    title: str
    created: str
    verdict: Verdict
    audits: tuple[Finding[Any], ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    scale: str = ""
    published: tuple[Published, ...] = ()
    folders: tuple[SampleFolder, ...] = ()
    shared: tuple[SharedImage, ...] = ()
