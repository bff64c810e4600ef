"""MixupMMD: mix-up, and members' posteriors distributed as held-out samples'."""

from dataclasses import dataclass

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.defences.variants import variant

_NAME = "mixup-mmd"


@dataclass(frozen=True)
class MixUpMatchingDefence:
    """Turn `supervised` into `mixup-mmd`, which learns from the owner's validation samples too.

    Attributes:
        weight: of the discrepancy beside the mixtures' cross-entropy.
        bandwidth: of its Gaussian kernel.
    """

    weight: float = 3.0
    bandwidth: float = 1.0

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        if self.weight <= 0 or self.bandwidth <= 0:
            raise UsageError(f"defence {_NAME!r}: weight and bandwidth must be above 0.")
        return variant(plan, _NAME, _NAME, "supervised", mmd_weight=self.weight, mmd_bandwidth=self.bandwidth)
