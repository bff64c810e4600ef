"""A threshold that needs no fitting, such as 0 for a log-likelihood ratio."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.threshold import MeanScorer


@dataclass(frozen=True)
class Fixed:
    """A member where the mean of the signal, or its only entry, reaches a threshold known beforehand.

    Attributes:
        threshold: the signal's natural one.
    """

    threshold: float = 0.0

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> MeanScorer:
        """Nothing is fitted."""
        del features, member, rng
        return MeanScorer(self.threshold)
