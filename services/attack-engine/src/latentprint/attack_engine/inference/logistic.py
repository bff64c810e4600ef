"""Logistic regression on standardised signals: strong where few samples are known."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from latentprint.attack_engine.inference.base import Membership, Scores, Signals, Standardiser


@dataclass(frozen=True)
class LogisticScorer:
    """Scores are log-odds."""

    standardise: Standardiser
    model: LogisticRegression
    threshold: float = 0.0

    def score(self, signals: Signals) -> Scores:
        """Log-odds float64 [S] of membership."""
        return np.asarray(self.model.decision_function(self.standardise(signals)), dtype=np.float64)


@dataclass(frozen=True)
class Logistic:
    """L2-regularised logistic regression with balanced classes.

    Attributes:
        inverse_penalty: scikit-learn's C.
    """

    inverse_penalty: float = 0.01

    def fit(self, signals: Signals, member: Membership, rng: np.random.Generator) -> LogisticScorer:
        """Fit on the known samples; deterministic, so `rng` is not drawn from."""
        del rng
        standardise = Standardiser.of(signals)
        model = LogisticRegression(C=self.inverse_penalty, class_weight="balanced", max_iter=2000)
        return LogisticScorer(standardise, model.fit(standardise(signals), member))
