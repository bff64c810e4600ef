"""What an audit of an attribute finds, as plain data: accuracies and rates are fractions."""

from dataclasses import dataclass

from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.statistics.estimates import Estimate


@dataclass(frozen=True)
class Baseline:
    """A guess of the attribute that does without the trained encoder.

    Attributes:
        name: of the control that it is.
        accuracy: on the evaluated samples.
        excess: the attack's accuracy less this one's, on the same samples.
        p_value: one-sided, of "the attack is no better".
    """

    name: str
    accuracy: Estimate
    excess: Estimate
    p_value: float


@dataclass(frozen=True)
class ValueRecall:
    """How often an attribute's value is inferred right, of the evaluated samples that have it."""

    value: str
    samples: int
    recall: float


@dataclass(frozen=True)
class AttributesResult:
    """What only an audit of an attribute finds.

    Attributes:
        attribute: its name.
        accuracy: of the attack on the evaluated samples.
        baselines: what does without the trained encoder; first the one that the attack beats least clearly.
        recalls: by value.
        known, evaluated: samples that the attack was fitted to, and scored.
        members, non_members: the attack's accuracy on evaluated samples that the encoder was trained on, and on those
            that it was not; None where there are none.
        absent: baselines that were not run.
        unreadable: why there is nothing to read; "" where there is.
    """

    attribute: str
    accuracy: Estimate
    baselines: tuple[Baseline, ...]
    recalls: tuple[ValueRecall, ...]
    known: int
    evaluated: int
    members: Estimate | None = None
    non_members: Estimate | None = None
    absent: tuple[str, ...] = ()
    unreadable: str = ""


AttributesFinding = Finding[AttributesResult]
