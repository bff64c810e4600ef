"""Student's t distribution in log space."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, hyp2f1, stdtr

Floats = NDArray[np.float64]

_FAR = 1e-200


def student_log_density(standardised: Floats, freedom: Floats) -> Floats:
    """Log density at `standardised`, [...], with `freedom` degrees of freedom."""
    half = (freedom + 1.0) / 2.0
    normaliser = gammaln(half) - gammaln(freedom / 2.0) - 0.5 * np.log(np.pi * freedom)
    density: Floats = normaliser - half * np.log1p(np.square(standardised) / freedom)
    return density


def student_log_tail(standardised: Floats, freedom: Floats) -> Floats:
    """The upper tail ln P[T > standardised], [...]; finite where the probability itself is 0 in float64.

    Far in the tail it is half the regularised incomplete beta function as a series (DLMF 8.17.8).
    """
    t, freedom = np.broadcast_arrays(standardised, freedom)
    tail = stdtr(freedom, -t)
    far = tail < _FAR
    log_tail: Floats = np.log(np.where(far, 1.0, tail))
    if far.any():
        half, share = freedom[far] / 2.0, 1.0 / (1.0 + np.square(t[far]) / freedom[far])
        series = np.log(hyp2f1(half + 0.5, 1.0, half + 1.0, share))
        power = half * np.log(share) + 0.5 * np.log1p(-share)
        log_tail[far] = power + series - np.log(2.0 * half) - betaln(half, 0.5)
    return log_tail
