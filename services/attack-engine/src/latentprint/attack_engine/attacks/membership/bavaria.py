"""BaVarIA: LiRA with a conjugate prior on each sample's mean and variance (Brännvall 2026, arXiv:2603.11799).

Of n references with mean m and sum of squares q about it, and the prior NIG(m0, k0, a0, b0):
k = k0 + n, mu = (k0 m0 + n m) / k, a = a0 + n / 2, b = b0 + q / 2 + k0 n (m - m0)^2 / (2 k).
The predictive of the target's phi is Student's t ("t") with 2a degrees of freedom, location mu and squared scale
b (k + 1) / (a k), or a Gaussian ("n") with mean mu and the variance's posterior mean b / (a - 1).
The prior is estimated from all samples, IN and OUT apart: see `NormalInverseGamma.prior`.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.needs import Needs, References
from latentprint.attack_engine.evidence.normal_inverse_gamma import NormalInverseGamma
from latentprint.attack_engine.evidence.reference_moments import Flags, Floats, moments
from latentprint.attack_engine.evidence.student_t import student_log_density, student_log_tail
from latentprint.attack_engine.evidence.types import Evidence

Predictive = Literal["t", "n"]


@dataclass(frozen=True)
class Bavaria(PosteriorReading):
    """BaVarIA: LiRA with variances under a prior that is estimated from all samples.

    Attributes:
        references: as for LiRA.
        predictive: "t", Student's t, or "n", a Gaussian with the expected variance.
    """

    name = "bavaria"
    references: References = field(default_factory=References)
    predictive: Literal["t", "n"] = "t"

    @property
    def needs(self) -> Needs:
        """See `Reading.needs`: the prior is estimated from samples that have two."""
        return Needs(2 if self.references.online else 0, 2, every=False)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the log-likelihood ratio, or offline the one-sided tail."""
        phi, said = self.compared(evidence)
        attack = bavaria_online if self.references.online else bavaria_offline
        return one_draw(attack(phi[:, None], said.phi[..., None], said.inside, predictive=self.predictive)[:, None])


def bavaria_online(
    phi: NDArray[np.floating],
    references: NDArray[np.floating],
    inside: Flags,
    *,
    predictive: Predictive = "t",
) -> Floats:
    """Log-likelihood ratio of the predictive of references trained on the sample (IN) and of the others' (OUT).

    A sample that has no IN or no OUT reference is judged by the prior alone.

    Args:
        phi: scaled logits of the model under attack, [S, A]; A augmented queries.
        references: of each reference model, [K, S, A].
        inside: bool [K, S], whether the reference was trained on the sample.
        predictive: "t" or "n".

    Returns:
        float64 [S], mean over the queries; higher = member, 0 = both as likely.

    Raises:
        DataError: fewer than two samples have two IN, or two OUT references.
    """
    own = phi.astype(np.float64)
    ratio = _log_density(own, _posterior(references, inside), predictive)
    ratio = ratio - _log_density(own, _posterior(references, ~inside), predictive)
    mean: Floats = ratio.mean(axis=1)
    return mean


def bavaria_offline(
    phi: NDArray[np.floating],
    references: NDArray[np.floating],
    inside: Flags,
    *,
    predictive: Predictive = "t",
) -> Floats:
    """-ln P[Z > phi], Z from the predictive of the references that were not trained on the sample (OUT).

    Args:
        phi: scaled logits of the model under attack, [S, A]; A augmented queries.
        references: of each reference model, [K, S, A].
        inside: bool [K, S], whether the reference was trained on the sample; IN references are not used.
        predictive: "t" or "n".

    Returns:
        float64 [S], mean over the queries, non-negative; higher = member.

    Raises:
        DataError: fewer than two samples have two OUT references.
    """
    own, others = phi.astype(np.float64), _posterior(references, ~inside)
    scale = _scale(others, predictive)
    standardised = (own - others.location) / scale
    tail = student_log_tail(standardised, 2.0 * others.shape) if predictive == "t" else log_ndtr(-standardised)
    mean: Floats = -tail.mean(axis=1)
    return mean


def _posterior(references: NDArray[np.floating], chosen: Flags) -> NormalInverseGamma:
    observed = moments(references, chosen)
    return NormalInverseGamma.prior(observed).given(observed)


def _scale(posterior: NormalInverseGamma, predictive: Predictive) -> Floats:
    if predictive == "t":
        squared = posterior.rate * (posterior.strength + 1.0) / (posterior.shape * posterior.strength)
    else:
        squared = posterior.rate / (posterior.shape - 1.0)
    scale: Floats = np.sqrt(squared)
    return scale


def _log_density(phi: Floats, posterior: NormalInverseGamma, predictive: Predictive) -> Floats:
    scale = _scale(posterior, predictive)
    standardised = (phi - posterior.location) / scale
    if predictive == "t":
        return student_log_density(standardised, 2.0 * posterior.shape) - np.log(scale)
    density: Floats = -0.5 * (np.square(standardised) + np.log(2.0 * np.pi)) - np.log(scale)
    return density
