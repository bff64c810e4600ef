"""TPR at a low FPR: what an attack finds when it must hardly ever accuse wrongly."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.binomial import clopper_pearson
from latentprint.attack_engine.statistics.estimates import Interval, TprAtFpr
from latentprint.attack_engine.statistics.scores import Scores, both_sides
from latentprint.attack_engine.statistics.thresholds import (
    count_called,
    false_positives_allowed,
    threshold_at,
    tpr_limits,
)

TARGET_FPRS = (0.01, 0.001)


def tpr_at_fpr(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    target_fpr: float,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> TprAtFpr:
    """The largest TPR whose realised FPR does not exceed `target_fpr` (a fraction); no interpolation.

    Equal scores are called together or not at all. Below 1 / non-members there is nothing to resolve and the numbers
    are None. A threshold above all scores (TPR 0) is the smallest float64 above them.

    Raises:
        DataError: a side is empty or a score is not finite.
        ValueError: a target outside (0, 1).
    """
    return tpr_at_fprs(member_scores, non_member_scores, (target_fpr,), rng=rng, resamples=resamples, level=level)[0]


def tpr_at_fprs(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    target_fprs: Sequence[float],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[TprAtFpr, ...]:
    """`tpr_at_fpr` for several targets from the same resamples."""
    members, non_members = both_sides(member_scores, non_member_scores)
    allowed = {target: false_positives_allowed(target, non_members.size) for target in target_fprs}
    counts = np.array(sorted({k for k in allowed.values() if k > 0}), dtype=np.int64)
    low, high, methods = tpr_limits(members, non_members, counts, rng=rng, resamples=resamples, level=level)
    limits = {int(k): Interval(float(low[i]), float(high[i]), level, methods[i]) for i, k in enumerate(counts)}
    return tuple(
        _at_threshold(members, non_members, target, allowed[target], limits[allowed[target]])
        if allowed[target]
        else _unresolvable(target, members.size, non_members.size)
        for target in target_fprs
    )


def _at_threshold(members: Scores, non_members: Scores, target: float, allowed: int, limits: Interval) -> TprAtFpr:
    threshold = threshold_at(members, non_members, allowed)
    right, wrong = count_called(members, threshold), count_called(non_members, threshold)
    tpr = right / members.size
    # Where scores are tied, no threshold has the FPR that the limits are of, and the best one below finds less.
    reached = replace(limits, low=min(limits.low, tpr), high=max(limits.high, tpr))
    return TprAtFpr(
        target_fpr=target,
        members=members.size,
        non_members=non_members.size,
        tpr=tpr,
        threshold=threshold,
        true_positives=right,
        false_positives=wrong,
        realised_fpr=wrong / non_members.size,
        interval=clopper_pearson(right, members.size, limits.level),
        threshold_interval=reached,
    )


def _unresolvable(target: float, members: int, non_members: int) -> TprAtFpr:
    return TprAtFpr(target, members, non_members, None, None, None, None, None, None, None)
