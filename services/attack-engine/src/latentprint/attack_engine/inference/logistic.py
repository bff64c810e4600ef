"""Logistic regression on standardised features: strong where few samples are known."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, Scores, Standardiser

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class LogisticScorer:
    """Scores are log-odds."""

    standardise: Standardiser
    model: "LogisticRegression"
    threshold: float = 0.0

    def score(self, features: Features) -> Scores:
        """Log-odds float64 [S] of membership."""
        return np.asarray(self.model.decision_function(self.standardise(features)), dtype=np.float64)


@dataclass(frozen=True)
class Logistic:
    """L2-regularised logistic regression with balanced classes.

    Attributes:
        inverse_penalty: scikit-learn's C.
    """

    inverse_penalty: float = 0.01

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> LogisticScorer:
        """Fit on the known samples; deterministic, so `rng` is not drawn from."""
        from sklearn.linear_model import LogisticRegression

        del rng
        standardise = Standardiser.of(features)
        model = LogisticRegression(C=self.inverse_penalty, class_weight="balanced", max_iter=2000)
        return LogisticScorer(standardise, model.fit(standardise(features), member))
