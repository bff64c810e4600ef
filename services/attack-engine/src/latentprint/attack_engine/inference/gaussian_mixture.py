"""A Gaussian mixture of members alone: the density that dataset inference scores with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from latentprint.attack_engine.inference.base import Features, Membership, OneClass, Scores
from latentprint.core.checks import require

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_SAMPLES_A_COMPONENT = 5


@dataclass(frozen=True)
class GaussianMixtureScorer:
    """Scores are log-likelihoods; a member where they reach the mean of those that it was fitted on."""

    model: "GaussianMixture"
    threshold: float

    def score(self, features: Features) -> Scores:
        """Log-likelihood float64 [S] of features float32 [S, F]."""
        likelihood: Scores = self.model.score_samples(features.astype(np.float64))
        return likelihood


@dataclass(frozen=True)
class GaussianMixtureDensity(OneClass):
    """A mixture of Gaussians on known members (Dataset Inference for Self-Supervised Models, NeurIPS 2022).

    Attributes:
        components: of the mixture; the paper takes 10 on CIFAR10 and SVHN, and 50 on ImageNet. Of few known members
            fewer, so that each has 5 of them on average.
        covariance: "diag" as published, "spherical", or "full", which needs many more samples than features.
    """

    components: int = 10
    covariance: Literal["diag", "spherical", "full"] = "diag"

    def __post_init__(self) -> None:
        require(self.components >= 1, "gaussian-mixture: components", self.components, "at least 1")

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> GaussianMixtureScorer:
        """Fit on the members among float32 [S, F]; the others are not looked at."""
        from sklearn.mixture import GaussianMixture

        own = features[member].astype(np.float64)
        components = min(self.components, max(1, len(own) // _SAMPLES_A_COMPONENT))
        seed = int(rng.integers(2**31))
        model = GaussianMixture(components, covariance_type=self.covariance, random_state=seed).fit(own)
        return GaussianMixtureScorer(model, float(model.score(own)))
