"""Adversarial regularisation: train the classifier against a network that infers membership."""

from dataclasses import dataclass

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.defences.variants import variant

_NAME = "adv-reg"


@dataclass(frozen=True)
class AdversarialRegularisationDefence:
    """Turn `supervised` into `adv-reg`, which learns from the owner's validation samples too.

    Attributes:
        weight: of the inference network's gain beside the cross-entropy.
        steps: of the inference network before each of the classifier.
    """

    weight: float = 1.0
    steps: int = 1

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        if self.weight <= 0 or self.steps < 1:
            raise UsageError(f"defence {_NAME!r}: weight must be above 0 and steps at least 1.")
        changes = {"adversary_weight": self.weight, "adversary_steps": self.steps}
        return variant(plan, _NAME, _NAME, "supervised", **changes)
