"""The normal-inverse-gamma prior of samples' means and variances, estimated from all samples (empirical Bayes)."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import polygamma, psi

from latentprint.attack_engine.evidence.reference_moments import SMALLEST_VARIANCE, Moments
from latentprint.core.errors import DataError

Floats = NDArray[np.float64]

_FREEDOM = (3.0, 1000.0)  # of the prior: a finite mean variance, and little else than a common one
_STRENGTH = (1e-3, 1e3)
_LOW_VARIANCE = 1e-5  # of the median: variances of 0 have no logarithm


@dataclass(frozen=True)
class NormalInverseGamma:
    """variance ~ inverse-gamma(shape, rate), mean given variance ~ N(location, variance / strength).

    All float64 [1, A] as a prior and [S, A] as the posterior of each sample.
    """

    location: Floats
    strength: Floats
    shape: Floats
    rate: Floats

    @classmethod
    def prior(cls, observed: Moments) -> "NormalInverseGamma":
        """The prior from the moments of all samples, by query.

        Variances s^2 with d = n - 1 degrees of freedom: shape = d0 / 2, rate = d0 s0^2 / 2, with d0 and s0^2 from mean
        and variance of ln s^2 - psi(d / 2) + ln(d / 2) (Smyth, Stat. Appl. Genet. Mol. Biol. 2004, Sec. 6.2), d0 within
        3 and 1,000. Means: location is their mean, and location's variance beyond that of a mean is the pooled
        variance / strength, strength within 0.001 and 1,000.

        Raises:
            DataError: fewer than two samples have two references.
        """
        shape, scale = _variances(observed)
        seen = observed.count[:, 0] > 0
        mean, count = observed.mean[seen], observed.count[seen]
        pooled = observed.pooled_variance
        between = mean.var(axis=0, ddof=1, keepdims=True) - pooled * (1.0 / count).mean()
        strength = np.clip(pooled / np.maximum(between, SMALLEST_VARIANCE), *_STRENGTH)
        return cls(mean.mean(axis=0, keepdims=True), strength, shape, shape * scale)

    def given(self, observed: Moments) -> "NormalInverseGamma":
        """Each sample's posterior; where a sample has no reference, the prior."""
        n = observed.count
        strength = self.strength + n
        away = self.strength * n * np.square(observed.mean - self.location) / strength
        return NormalInverseGamma(
            location=(self.strength * self.location + n * observed.mean) / strength,
            strength=strength,
            shape=self.shape + n / 2.0,
            rate=self.rate + (observed.squares + away) / 2.0,
        )


def _variances(observed: Moments) -> tuple[Floats, Floats]:
    """Shape and scale s0^2 of the prior of variances, [1, A]."""
    rows = observed.count[:, 0] >= 2
    if np.count_nonzero(rows) < 2:
        raise DataError("A prior needs two samples with two reference models of one kind; train more reference models.")
    freedom = observed.count[rows] - 1.0
    variance = observed.squares[rows] / freedom
    low = np.maximum(_LOW_VARIANCE * np.median(variance, axis=0), SMALLEST_VARIANCE)
    residual = np.log(np.maximum(variance, low)) - psi(freedom / 2.0) + np.log(freedom / 2.0)
    excess = residual.var(axis=0, ddof=1) - polygamma(1, freedom / 2.0).mean(axis=0)
    shape = np.array([[_inverse_trigamma(float(value)) for value in excess]])
    scale: Floats = np.exp(residual.mean(axis=0, keepdims=True) + psi(shape) - np.log(shape))
    return shape, scale


def _inverse_trigamma(value: float) -> float:
    low, high = (freedom / 2.0 for freedom in _FREEDOM)
    if value >= polygamma(1, low):
        return low
    if value <= polygamma(1, high):
        return high
    return float(scipy.optimize.brentq(lambda shape: float(polygamma(1, shape)) - value, low, high, xtol=1e-12))
