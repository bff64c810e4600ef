"""k nearest neighbours: an inference model that assumes nothing of the features but that near ones are alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, Scores, Standardiser
from latentprint.core.checks import require

if TYPE_CHECKING:
    from sklearn.neighbors import KNeighborsClassifier


@dataclass(frozen=True)
class NearestNeighboursScorer:
    """Scores are the share of members among a sample's neighbours."""

    standardise: Standardiser
    model: "KNeighborsClassifier"
    threshold: float = 0.5

    def score(self, features: Features) -> Scores:
        """The share float64 [S], in [0, 1], of features float32 [S, F]."""
        share: Scores = self.model.predict_proba(self.standardise(features))[:, 1].astype(np.float64)
        return share


@dataclass(frozen=True)
class NearestNeighbours:
    """k nearest neighbours on standardised features (Cover and Hart, IEEE Trans. Inf. Theory 1967), by scikit-learn.

    Attributes:
        neighbours: how many vote, k; of fewer known samples, all.
        closer_weighs_more: whether a vote weighs by the inverse of its distance.
    """

    neighbours: int = 15
    closer_weighs_more: bool = True

    def __post_init__(self) -> None:
        require(self.neighbours >= 1, "knn: neighbours", self.neighbours, "at least 1")

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> NearestNeighboursScorer:
        """Keep the known samples of both sides, float32 [S, F]; deterministic, so `rng` is not drawn from."""
        from sklearn.neighbors import KNeighborsClassifier

        del rng
        standardise = Standardiser.of(features)
        weights = "distance" if self.closer_weighs_more else "uniform"
        model = KNeighborsClassifier(min(self.neighbours, len(features)), weights=weights)
        return NearestNeighboursScorer(standardise, model.fit(standardise(features), member))
