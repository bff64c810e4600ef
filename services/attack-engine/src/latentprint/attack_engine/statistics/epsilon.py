"""A lower bound on the privacy parameter epsilon that the scores themselves prove, at a given delta."""

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.binomial import lower_limit, upper_limit
from latentprint.attack_engine.statistics.estimates import EpsilonBound
from latentprint.attack_engine.statistics.scores import Counts, Rates, Scores, both_sides


def epsilon_clopper_pearson(
    member_scores: ArrayLike, non_member_scores: ArrayLike, *, delta: float = 1e-5, level: float = 0.95
) -> EpsilonBound:
    """The largest epsilon that the true one exceeds with probability `level`; 0 where nothing is shown.

    (epsilon, delta)-differential privacy forces TPR <= e^epsilon FPR + delta and the mirror image with non-members in
    the members' place (Kairouz, Oh and Viswanath 2015). Each threshold is named by the number of errors it makes on
    one side, from a grid that the sizes alone fix; the k-th order statistic's error rate obeys Clopper-Pearson's upper
    limit exactly, so choosing the threshold from the data costs nothing. The search over the grid and both directions
    is paid for with Bonferroni. Samples count as independent, as in any audit of a single model.

    Args:
        member_scores: float [M], higher = member.
        non_member_scores: float [N].
        delta: of the (epsilon, delta) pair, a probability.
        level: confidence as a fraction.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    directions = [(members, non_members), (-non_members[::-1], -members[::-1])]
    grids = [error_grid(errors.size) for _, errors in directions]
    searched = sum(grid.size for grid in grids)
    error = (1.0 - level) / (2 * searched)
    best = max(
        float(_epsilons(found, errors, grid, delta, error).max())
        for (found, errors), grid in zip(directions, grids, strict=True)
    )
    return EpsilonBound(max(0.0, best), delta, level, searched)


def error_grid(samples: int) -> Counts:
    """Numbers of errors to search: 0, then powers of 2 up to half of `samples`; they depend on nothing else."""
    powers = 2 ** np.arange(max(0, samples // 2).bit_length(), dtype=np.int64)
    return np.concatenate([np.zeros(1, dtype=np.int64), powers])


def _epsilons(found: Scores, errors: Scores, grid: Counts, delta: float, error: float) -> Rates:
    """Epsilon lower bounds [K] at thresholds just above the (k + 1)-th highest of `errors`, k in `grid` [K]."""
    thresholds = errors[errors.size - 1 - grid]
    hits = found.size - np.searchsorted(found, thresholds, side="right")
    tpr = lower_limit(hits, found.size, error)
    fpr = upper_limit(grid, errors.size, error)
    return np.log(np.maximum(tpr - delta, np.finfo(np.float64).tiny)) - np.log(fpr)
