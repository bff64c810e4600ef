"""The mean of features that are all larger for members, each in units of its own spread among known members."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, OneClass, Scores, Standardiser


@dataclass(frozen=True)
class StandardisedMeanScorer:
    """Scores are means of standardised features; a member where it is above the known members' own mean."""

    standardise: Standardiser
    threshold: float = 0.0

    def score(self, features: Features) -> Scores:
        """The mean float64 [S] of each sample's features float32 [S, F]."""
        mean: Scores = self.standardise(features).mean(axis=1)
        return mean


@dataclass(frozen=True)
class StandardisedMean(OneClass):
    """Centre and spread come from known members alone; which sign means member is not fitted."""

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> StandardisedMeanScorer:
        """Fit on the members among float32 [S, F]; deterministic, so `rng` is not drawn from."""
        del rng
        return StandardisedMeanScorer(Standardiser.of(features[member]))
