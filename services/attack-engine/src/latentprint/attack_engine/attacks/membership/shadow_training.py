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
        correctness: whether 1 or 0 stands beside them, where the predicted class is the sample's own or is not: with
            the two largest, what ContrastiveLeaks (CCS 2021) reads.
    """

    name = "st"
    largest: int | None = None
    correctness: bool = False

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: the posterior is sorted, whatever the class, unless correctness is read."""
        return self.correctness

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`."""
        posterior = self.posterior(evidence)
        ranked = -np.sort(-posterior, axis=1)[:, : self.largest]
        if not self.correctness:
            return one_draw(ranked)
        right = posterior.argmax(axis=1) == evidence.label
        return one_draw(np.concatenate([ranked, right[:, None]], axis=1))
