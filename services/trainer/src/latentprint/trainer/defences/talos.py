"""Talos: SimCLR that unlearns an attribute of its images."""

from dataclasses import dataclass

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.defences.variants import variant

_NAME = "talos"


@dataclass(frozen=True)
class TalosDefence:
    """Turn `simclr` into `talos` with the same options, so that the two differ in what is unlearnt alone.

    Attributes:
        attribute: what the embeddings shall not tell: an attribute of the data set, or "class".
        strength: factor of the reversed gradient, the paper's lambda.
    """

    attribute: str = "sensitive"
    strength: float = 1.0

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        if self.strength <= 0:
            raise UsageError(f"defence {_NAME!r}: strength must be above 0, not {self.strength}.")
        return variant(plan, _NAME, _NAME, "simclr", attribute=self.attribute, strength=self.strength)
