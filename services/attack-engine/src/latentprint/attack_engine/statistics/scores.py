"""What every statistic here takes: two arrays of finite scores, higher = member."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentprint.core.errors import DataError

Scores = NDArray[np.float64]
Rates = NDArray[np.float64]
Counts = NDArray[np.int64]


def as_scores(values: ArrayLike, side: str) -> Scores:
    """`values` as float64 [S], sorted ascending, so that no statistic can depend on the order of samples.

    Raises:
        DataError: not one-dimensional, empty, or not finite; `side` names the samples in the message.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise DataError(f"The scores of {side} must be one number a sample, not an array of shape {scores.shape}.")
    if scores.size == 0:
        raise DataError(f"There are no scores of {side}: an evaluation needs at least one sample on each side.")
    wrong = int(np.count_nonzero(~np.isfinite(scores)))
    if wrong:
        raise DataError(f"{wrong} of {scores.size} scores of {side} are not finite: the attack's signals went wrong.")
    return np.sort(scores)


def both_sides(member_scores: ArrayLike, non_member_scores: ArrayLike) -> tuple[Scores, Scores]:
    """Members' and non-members' scores, checked and sorted ascending."""
    return as_scores(member_scores, "members"), as_scores(non_member_scores, "non-members")
