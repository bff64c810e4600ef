"""Many tests at once: the probability of any false rejection, and the share of false ones among all rejections."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FAMILY_ERROR = 0.05  # probability of any false claim in a report


def holm(p_values: ArrayLike, error: float) -> NDArray[np.bool_]:
    """Which of `p_values` [A] to reject with probability `error` or less of any false rejection (Holm 1979)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    passes = values[order] <= error / np.arange(values.size, 0, -1)
    rejected = np.zeros(values.size, dtype=bool)
    rejected[order[: passes.size if passes.all() else int(np.argmin(passes))]] = True
    return rejected


def benjamini_hochberg(p_values: ArrayLike, fdr: float) -> NDArray[np.bool_]:
    """Which of `p_values` [E] to reject so that the false discovery rate is at most `fdr` (a fraction).

    Benjamini and Hochberg 1995; its guarantee holds for conformal p-values that share one calibration set
    (Bates et al. 2023).
    """
    values = np.asarray(p_values, dtype=np.float64)
    ranked = np.sort(values)
    passing = np.flatnonzero(ranked <= fdr * np.arange(1, values.size + 1) / values.size)
    if not passing.size:
        return np.zeros(values.size, dtype=bool)
    return np.asarray(values <= ranked[passing[-1]])
