"""Published p-values of ownership tests, which are not valid. They stand beside a valid one, to show their inflation.

No verdict reads them.
"""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.scores import Rates, Scores, both_sides

SUBSETS = 40


def published_halved_p(private_scores: ArrayLike, test_scores: ArrayLike) -> float:
    """Half of a two-sided p-value, whichever group scores higher, as published with dataset inference (NeurIPS 2022).

    Without a look at the sign it calls 10 % of encoders stolen at a nominal 5 % where nothing was.

    Args:
        private_scores: float [M], higher = private.
        test_scores: float [N].
    """
    private, test = both_sides(private_scores, test_scores)
    return float(scipy.stats.ttest_ind(private, test, equal_var=False).pvalue) / 2.0


def published_resampled_p(
    private_scores: ArrayLike, test_scores: ArrayLike, *, rng: np.random.Generator, subsets: int = SUBSETS
) -> float:
    """A t-test of the mean differences of `subsets` draws from the same images, as if the draws were independent.

    So DOV4CL (ICLR 2025) and DOV4MM (2025) test. Each draw takes half of either group, so that the p-value falls with
    the number of draws at will.

    Args:
        private_scores: float [M], higher = private.
        test_scores: float [N].
        rng: draws the subsets.
        subsets: K.
    """
    sides = both_sides(private_scores, test_scores)
    private, test = (_subset_means(side, subsets, rng) for side in sides)
    return float(scipy.stats.ttest_1samp(private - test, 0.0, alternative="greater").pvalue)


def _subset_means(scores: Scores, subsets: int, rng: np.random.Generator) -> Rates:
    """Means of `subsets` halves of the scores, float64 [K]."""
    drawn = rng.permuted(np.broadcast_to(scores, (subsets, scores.size)), axis=1)
    return np.asarray(drawn[:, : max(1, scores.size // 2)].mean(axis=1))
