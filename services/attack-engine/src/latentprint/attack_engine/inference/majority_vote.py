"""A majority vote over draws: each says member or not, and the share of votes is the score."""

from dataclasses import dataclass, field

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, Scorer, Scores
from latentprint.attack_engine.inference.mlp import MlpClassifier


@dataclass(frozen=True)
class VoteScorer:
    """Scores are votes, 0 or 1; their mean over draws is the share of votes, and half of them decide."""

    voter: Scorer

    threshold = 0.5

    def score(self, features: Features) -> Scores:
        """Votes float64 [S] of features float32 [S, K]."""
        return np.asarray(self.voter.score(features) >= self.voter.threshold, dtype=np.float64)


@dataclass(frozen=True)
class MajorityVote:
    """Fits `voter` to all draws as if each were a sample of its own, and lets them vote.

    Attributes:
        voter: decides for one draw.
    """

    voter: MlpClassifier = field(default_factory=lambda: MlpClassifier(hidden=(256, 256)))

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> VoteScorer:
        """Fit on the known samples; all randomness from `rng`."""
        return VoteScorer(self.voter.fit(features, member, rng))
