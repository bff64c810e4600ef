"""A linear decoder fitted to members alone: how well it restores one half of a sample's features from the other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, OneClass, Scores, Standardiser
from latentprint.core.errors import UsageError

if TYPE_CHECKING:
    from sklearn.linear_model import RidgeCV

_PENALTIES = tuple(10.0**power for power in range(-2, 5))


@dataclass(frozen=True)
class LinearDecoderScorer:
    """Scores are reconstruction losses with their sign turned; a member at or above the mean of those fitted on."""

    standardise: Standardiser
    model: "RidgeCV"
    threshold: float = 0.0

    def score(self, features: Features) -> Scores:
        """Less the mean squared error float64 [S] of the second half of features float32 [S, 2 D]."""
        given, wanted = np.split(features, 2, axis=1)
        errors = self.model.predict(self.standardise(given)) - wanted
        return -np.asarray((errors**2).mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class LinearDecoder(OneClass):
    """Ridge regression of the second half of the features on the first, by scikit-learn, on known members.

    In place of DOV4MM's small network: it needs no schedule, and its penalty is chosen by leave-one-out errors of the
    known members.
    """

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> LinearDecoderScorer:
        """Fit on the members among float32 [S, 2 D]; deterministic, so `rng` is not drawn from.

        Raises:
            UsageError: features that have no two halves.
        """
        from sklearn.linear_model import RidgeCV

        del rng
        if features.shape[1] % 2:
            raise UsageError(f"linear-decoder reads pairs of equal length, not {features.shape[1]} features.")
        given, wanted = np.split(features[member], 2, axis=1)
        standardise = Standardiser.of(given)
        model = RidgeCV(alphas=_PENALTIES).fit(standardise(given), wanted.astype(np.float64))
        fitted = LinearDecoderScorer(standardise, model)
        return LinearDecoderScorer(standardise, model, float(fitted.score(features[member]).mean()))
