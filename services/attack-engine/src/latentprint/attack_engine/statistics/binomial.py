"""Clopper-Pearson limits for a proportion: exact, never of zero width, at least their nominal coverage."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv

from latentprint.attack_engine.statistics.estimates import Interval
from latentprint.attack_engine.statistics.scores import Rates

CLOPPER_PEARSON = "Clopper-Pearson"


def lower_limit(successes: ArrayLike, trials: ArrayLike, error: float) -> Rates:
    """The largest p that `successes` or more of `trials` would contradict at one-sided `error` (0 for 0 successes)."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    limits = betaincinv(np.maximum(k, 1.0), n - k + 1.0, error)
    return np.where(k == 0, 0.0, limits)


def upper_limit(successes: ArrayLike, trials: ArrayLike, error: float) -> Rates:
    """The smallest p that `successes` or fewer of `trials` would contradict at one-sided `error` (1 for all)."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    limits = betainccinv(k + 1.0, np.maximum(n - k, 1.0), error)
    return np.where(k == n, 1.0, limits)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """The two-sided interval of a proportion (Clopper and Pearson 1934), `level` as a fraction.

    Raises:
        ValueError: no trials, or successes outside 0..trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials is not a proportion")
    error = (1.0 - level) / 2.0
    low, high = float(lower_limit(successes, trials, error)), float(upper_limit(successes, trials, error))
    return Interval(low, high, level, CLOPPER_PEARSON)
