"""A reading: how what is held of a sample about a model becomes what an inference model is fitted to."""

from typing import Protocol

from latentprint.attack_engine.evidence.needs import Distillation, Needs, References
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.signal import Signal, Values


class Reading(Protocol):
    """A frozen, picklable description. It knows nothing of membership; what it needs is prepared once an endpoint."""

    @property
    def name(self) -> str:
        """Name of the attack that it belongs to."""
        ...

    @property
    def asked(self) -> Signal:
        """What the endpoint is asked for a sample."""
        ...

    @property
    def distillation(self) -> Distillation | None:
        """How the model has to be imitated; None where it has not."""
        ...

    @property
    def references(self) -> References | None:
        """Reference models that have to be there; None for none."""
        ...

    @property
    def needs(self) -> Needs:
        """How many references of each kind its samples need."""
        ...

    @property
    def reads_labels(self) -> bool:
        """Whether its features depend on the samples' classes."""
        ...

    @property
    def population(self) -> bool:
        """Whether other samples, known to be no members, are compared with."""
        ...

    def features(self, evidence: Evidence) -> Values:
        """What an inference model reads of S samples: float32 [S, 1, F]."""
        ...
