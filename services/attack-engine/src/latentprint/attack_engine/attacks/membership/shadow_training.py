"""Shadow training: the sorted posterior, learned on one shadow model (Salem et al., NDSS 2019)."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.types import Evidence


@dataclass(frozen=True)
class SortedPosterior(PosteriorReading):
    """The posterior, largest first (Salem et al., NDSS 2019, adversary 1).

    Attributes:
        largest: how many of its entries; None for all.
    """

    name = "st"
    largest: int | None = None

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: the posterior is sorted, whatever the class."""
        return False

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`."""
        ranked = -np.sort(-self.posterior(evidence), axis=1)
        return one_draw(ranked[:, : self.largest])
