"""Log-likelihood ratio of two Gaussians a feature: LpLA's inference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.inference.base import Features, Membership, Scores

_NARROWEST = 1e-3  # of the deviation of all known samples: a few known samples may all be equal


@dataclass(frozen=True)
class GaussianRatioScorer:
    """Scores are sums of log-likelihood ratios over the features that vary.

    Attributes:
        mean: float64 [2, K] of members and of non-members.
        deviation: float64 [2, K].
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    threshold: float = 0.0

    def score(self, features: Features) -> Scores:
        """Log-likelihood ratio float64 [S]; 0 where both are as likely."""
        distance = (features.astype(np.float64)[:, None] - self.mean) / self.deviation  # [S, 2, K]
        likelihood = -0.5 * distance**2 - np.log(self.deviation)
        ratio: Scores = (likelihood[:, 0] - likelihood[:, 1]).sum(axis=1)
        return ratio


@dataclass(frozen=True)
class GaussianRatio:
    """Each feature is taken to be normal among members and among non-members, independent of the others.

    After LpLA (AsiaCCS 2025, arXiv 2506.05743). Wider as well as longer features tell, unlike with a line.
    """

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> GaussianRatioScorer:
        """Means and deviations of the known samples; deterministic, so `rng` is not drawn from."""
        del rng
        values = features.astype(np.float64)
        sides = values[member], values[~member]
        whole = values.std(axis=0)
        varies = whole > 0
        mean = np.stack([np.where(varies, side.mean(axis=0), values[0]) for side in sides])
        deviation = np.stack([np.maximum(side.std(axis=0), _NARROWEST * whole) for side in sides])
        return GaussianRatioScorer(mean, np.where(varies, deviation, 1.0))
