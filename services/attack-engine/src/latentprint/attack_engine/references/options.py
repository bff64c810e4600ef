"""Which reference models an attack compares the victim with."""

from dataclasses import dataclass, field
from typing import Literal

from latentprint.attack_engine.distillation.options import Distillation
from latentprint.core.encoders import POSTERIOR
from latentprint.core.errors import UsageError


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
