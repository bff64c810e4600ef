"""The ROC curve and the score histogram, thinned for display."""

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.estimates import Histogram, Roc
from latentprint.attack_engine.statistics.scores import Counts, Scores, both_sides
from latentprint.attack_engine.statistics.thresholds import tpr_limits


def roc_curve(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    rng: np.random.Generator,
    points: int = 400,
    resamples: int = 500,
    level: float = 0.95,
) -> Roc:
    """At most `points` points of the ROC from (0, 0) to (1, 1), in order of falling threshold, ties in one step.

    Thinning keeps the highest TPR at log-spaced low FPRs, and spreads the rest evenly over thresholds. The band is
    pointwise, belongs to the FPR (all points of one FPR share it), holds the threshold's own uncertainty, and is
    widened where it would otherwise fall as the FPR rises.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    called, wrong = roc_counts(members, non_members)
    kept = _thin(wrong, points)
    called, wrong = called[kept], wrong[kept]
    distinct, position = np.unique(wrong, return_inverse=True)
    low, high, _ = tpr_limits(members, non_members, distinct, rng=rng, resamples=resamples, level=level)
    return Roc(
        fpr=_floats(wrong / non_members.size),
        tpr=_floats(called / members.size),
        tpr_low=_floats(np.minimum.accumulate(low[::-1])[::-1][position]),
        tpr_high=_floats(np.maximum.accumulate(high)[position]),
        level=level,
    )


def roc_counts(members: Scores, non_members: Scores) -> tuple[Counts, Counts]:
    """True and false positives [V + 1] at each distinct score from the highest down, after (0, 0)."""
    thresholds = np.unique(np.concatenate([members, non_members]))[::-1]
    called = members.size - np.searchsorted(members, thresholds, side="left")
    wrong = non_members.size - np.searchsorted(non_members, thresholds, side="left")
    return np.concatenate([[0], called]), np.concatenate([[0], wrong])


def _thin(wrong: Counts, points: int) -> Counts:
    """Indices [P] into false positives [V + 1], ascending, P <= points, both ends among them."""
    if wrong.size <= points:
        return np.arange(wrong.size)
    half = points // 2
    budgets = np.unique(np.geomspace(1, wrong[-1], half - 2).astype(np.int64))
    best = np.searchsorted(wrong, np.concatenate([[0], budgets]), side="right") - 1
    even = np.linspace(0, wrong.size - 1, points - half).astype(np.int64)
    return np.unique(np.concatenate([best, even]))


def score_histogram(member_scores: ArrayLike, non_member_scores: ArrayLike, *, bins: int = 40) -> Histogram:
    """Counts of both sides over `bins` equal steps of the scores' common range.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    edges = np.histogram_bin_edges(np.concatenate([members, non_members]), bins=bins)
    return Histogram(
        edges=_floats(edges),
        members=tuple(int(count) for count in np.histogram(members, edges)[0]),
        non_members=tuple(int(count) for count in np.histogram(non_members, edges)[0]),
    )


def _floats(values: Scores) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
