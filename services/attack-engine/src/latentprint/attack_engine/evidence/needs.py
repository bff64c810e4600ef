"""What an attack needs made before it can be fitted: a distillation of the model, and reference models."""

from dataclasses import dataclass, field
from typing import Literal

from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR

Output = Literal["posterior", "embedding", "feature_map"]
_OUTPUTS = (POSTERIOR, EMBEDDING, FEATURE_MAP)


@dataclass(frozen=True)
class Distillation:
    """Options of a distillation (SeqMIA, Sec. 3.3; TrajectoryMIA, CCS 2022).

    The defaults are the papers': SGD with momentum, a rate that falls by a tenth every five epochs, no hard labels.

    Attributes:
        output: what the student learns to answer as the model does.
        epochs: snapshots, one an epoch.
        size: distillation samples, spread over those there are; None for all.
        batch_size: samples a step.
        optimiser: "sgd", or "adamw" for students that SGD does not train, such as vision transformers.
        learning_rate: at the start.
        momentum: of SGD.
        weight_decay: of the optimiser.
        decay: factor of the learning rate.
        decay_every: epochs between its falls.
    """

    output: Output = "posterior"
    epochs: int = 50
    size: int | None = None
    batch_size: int = 100
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: float = 0.9
    decay_every: int = 5

    def __post_init__(self) -> None:
        if min(self.epochs, self.decay_every) < 1 or self.batch_size < 2 or self.learning_rate <= 0:
            raise UsageError(
                "distillation: epochs and decay_every must be at least 1, batch_size at least 2, learning_rate above 0."
            )
        if self.size is not None and self.size < 2:
            raise UsageError(f"distillation: size must be at least 2, not {self.size}.")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (epoch // self.decay_every)


@dataclass(frozen=True)
class References:
    """Options of a set of reference models.

    Attributes:
        count: models.
        kind: "trained" as the victim was, on samples of their own, or "distilled" from the victim's answers
            (EnhancedMIA's attack D).
        online: whether trained references may see the audited samples, each of them a part; else every reference is
            trained on the adversary's samples alone.
        distillation: how "distilled" ones are.
    """

    count: int = 16
    kind: Literal["trained", "distilled"] = "trained"
    online: bool = False
    distillation: Distillation = field(default_factory=Distillation)

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UsageError(f"references: count must be at least 2, not {self.count}.")
        if self.kind == "distilled" and self.online:
            raise UsageError("references: distilled ones know nothing of the audited samples; set online to false.")
        if self.distillation.output != POSTERIOR:
            raise UsageError("references: distilled ones answer posteriors; leave the output of distillation out.")


@dataclass(frozen=True)
class Needs:
    """Of the references of a sample.

    Attributes:
        inside: fewest that were trained on it.
        outside: fewest that were not.
        every: whether every sample needs so many; else some have to have them.
    """

    inside: int = 0
    outside: int = 0
    every: bool = True

    def met(self, parts: int, count: int) -> bool:
        """Whether `count` references suffice where each is trained on one of `parts` parts of the samples."""
        low, high = count // parts, -(-count // parts)
        inside, outside = (low, count - high) if self.every else (high, count - low)
        return inside >= self.inside and outside >= self.outside

    def fewest(self, parts: int) -> int:
        """The smallest number of references that suffices with `parts`, at least two."""
        count = 2
        while not self.met(parts, count):
            count += 1
        return count
