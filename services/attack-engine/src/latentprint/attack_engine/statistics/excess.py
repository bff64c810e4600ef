"""How much more often one guess is right than another on the same samples: paired, by unit where samples share one."""

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import betainc

from latentprint.attack_engine.statistics.estimates import Estimate, Interval

AGRESTI_MIN, STUDENT = "Agresti-Min", "Student, by unit"
Right = NDArray[np.bool_]


def paired_excess(
    right: Right, baseline: Right, *, units: NDArray[np.int64] | None = None, level: float = 0.95
) -> tuple[Estimate, float]:
    """The share of right guesses less the baseline's, and the one-sided p-value of "no more than the baseline".

    Where every sample stands for itself: the adjusted Wald interval for a difference of matched proportions (Agresti
    and Min 2005), and the exact McNemar test on the samples that only one of both guesses right. Where samples belong
    together, they say little more than one of them: then every unit's mean difference counts once, in a Student
    interval and test.

    Args:
        right: bool [S], whether the guess is right.
        baseline: bool [S], whether the baseline's is.
        units: int64 [S], which samples belong together; None where every sample stands for itself.
        level: of the interval, as a fraction.

    Raises:
        ValueError: no samples, or arrays of unequal length.
    """
    if right.shape != baseline.shape or not right.size:
        raise ValueError(f"{right.size} guesses cannot be paired with {baseline.size}")
    if units is not None and np.unique(units).size < units.size:
        return _by_unit(right, baseline, units, level)
    gained, lost = int(np.count_nonzero(right & ~baseline)), int(np.count_nonzero(baseline & ~right))
    samples = right.size + 2
    centre = (gained - lost) / samples
    spread = np.sqrt(gained + lost + 1 - (gained - lost) ** 2 / samples) / samples
    half = float(-scipy.special.ndtri((1.0 - level) / 2.0) * spread)
    interval = Interval(max(-1.0, centre - half), min(1.0, centre + half), level, AGRESTI_MIN)
    return Estimate((gained - lost) / right.size, interval), _mcnemar(gained, lost)


def _mcnemar(gained: int, lost: int) -> float:
    """P(X >= gained), X binomial over gained + lost fair coins."""
    return float(betainc(gained, lost + 1, 0.5)) if gained else 1.0


def _by_unit(right: Right, baseline: Right, units: NDArray[np.int64], level: float) -> tuple[Estimate, float]:
    _, place, size = np.unique(units, return_inverse=True, return_counts=True)
    difference = np.bincount(place, right.astype(float) - baseline) / size
    mean, error = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(difference.size))
    if error == 0.0:  # all units alike: nothing varies, so that a Student interval would have no width
        interval = Interval(-1.0, 1.0, level, STUDENT) if mean else Interval(mean, mean, level, STUDENT)
        return Estimate(mean, interval), 0.5**difference.size if mean > 0 else 1.0
    student = scipy.stats.t(difference.size - 1)
    half = float(student.isf((1.0 - level) / 2.0)) * error
    interval = Interval(max(-1.0, mean - half), min(1.0, mean + half), level, STUDENT)
    return Estimate(mean, interval), float(student.sf(mean / error))
