"""Early stop: publish the encoder of a fraction of the schedule."""

from dataclasses import dataclass, replace

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan


@dataclass(frozen=True)
class EarlyStop:
    """Stop at a fraction of the epochs, with the schedule of the whole training unchanged.

    Attributes:
        fraction: of the epochs; the published defence takes half.
    """

    fraction: float = 0.5

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        if not 0 < self.fraction < 1:
            raise UsageError(f"defence 'early-stop': fraction must lie between 0 and 1, not {self.fraction}.")
        return replace(plan, stop_after=max(1, round(plan.epochs * self.fraction)))
