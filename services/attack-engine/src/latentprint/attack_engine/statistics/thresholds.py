"""Thresholds that allow so many false positives, and what their own uncertainty adds to a TPR."""

import numpy as np
import scipy

from latentprint.attack_engine.statistics.binomial import lower_limit, upper_limit
from latentprint.attack_engine.statistics.bootstrap import bootstrap_tpr
from latentprint.attack_engine.statistics.scores import Counts, Rates, Scores

BOOTSTRAP = "stratified bootstrap, never narrower than Clopper-Pearson"
ORDER_STATISTICS = "order statistics with Clopper-Pearson"
_FEWEST_FOR_BOOTSTRAP = 10


def false_positives_allowed(target_fpr: float, non_members: int) -> int:
    """The largest k with k / non_members <= target_fpr, compared as the fractions that are reported.

    Raises:
        ValueError: a target outside (0, 1).
    """
    if not 0.0 < target_fpr < 1.0:
        raise ValueError(f"target_fpr is a fraction between 0 and 1, not {target_fpr}")
    allowed = int(target_fpr * non_members) + 1
    while allowed / non_members > target_fpr:
        allowed -= 1
    return allowed


def threshold_at(members: Scores, non_members: Scores, false_positives: int) -> float:
    """The lowest threshold that calls at most `false_positives` non-members; a score at or above it is called.

    One of the scores (ascending float64 [M], [N]), or just above all of them where none qualifies.
    """
    if false_positives >= non_members.size:
        return float(min(members[0], non_members[0]))
    excluded = non_members[non_members.size - false_positives - 1]
    above = np.concatenate([side[np.searchsorted(side, excluded, "right") :][:1] for side in (members, non_members)])
    return float(above.min()) if above.size else float(np.nextafter(excluded, np.inf))


def count_called(scores: Scores, threshold: float) -> int:
    """How many of `scores` (ascending) are at or above `threshold`."""
    return int(scores.size - np.searchsorted(scores, threshold, side="left"))


def members_called(members: Scores, non_members: Scores, false_positives: Counts) -> Counts:
    """Members at or above `threshold_at` each of `false_positives`: int64 [K]."""
    excluded = non_members[non_members.size - 1 - np.minimum(false_positives, non_members.size - 1)]
    called = members.size - np.searchsorted(members, excluded, "right")
    return np.where(false_positives >= non_members.size, members.size, called)


def tpr_limits(
    members: Scores,
    non_members: Scores,
    false_positives: Counts,
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> tuple[Rates, Rates, tuple[str, ...]]:
    """Pointwise limits of the population's TPR at FPR k / N for each k of `false_positives` [K], and their methods.

    From ten false positives on the stratified bootstrap, hulled with Clopper-Pearson so that it never collapses at TPR
    0 or 1. Below, where the bootstrap covers 77-90 % at a nominal 95 %, `order_statistic_limits`.
    """
    low, high = order_statistic_limits(members, non_members, false_positives / non_members.size, level)
    enough = false_positives >= _FEWEST_FOR_BOOTSTRAP
    if enough.any():
        low[enough], high[enough] = _bootstrap_limits(
            members, non_members, false_positives[enough], rng=rng, resamples=resamples, level=level
        )
    return low, high, tuple(BOOTSTRAP if many else ORDER_STATISTICS for many in enough)


def order_statistic_limits(members: Scores, non_members: Scores, fprs: Rates, level: float) -> tuple[Rates, Rates]:
    """Limits [K] of the TPR at population FPRs [K], without assuming any distribution; valid at any size.

    The non-members above the true threshold are Binomial(N, FPR), which brackets the threshold between two of them;
    Clopper-Pearson bounds the TPR at either. Each of the four limits errs with probability (1 - level) / 4. The lower
    limit is 0 while N * FPR < 4.4 (at 95 %): the true threshold may then lie above every score seen.
    """
    error = (1.0 - level) / 4.0
    least = scipy.stats.binom.ppf(error, non_members.size, fprs).astype(np.int64)
    most = scipy.stats.binom.isf(error, non_members.size, fprs).astype(np.int64)
    at_least = members.size - np.searchsorted(members, non_members[-np.maximum(least, 1)], "left")
    surely = np.where(least > 0, at_least, 0)
    at_most = members_called(members, non_members, most)
    return lower_limit(surely, members.size, error), upper_limit(at_most, members.size, error)


def _bootstrap_limits(
    members: Scores,
    non_members: Scores,
    false_positives: Counts,
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> tuple[Rates, Rates]:
    """Percentiles [K], moved out to Clopper-Pearson at the threshold where that reaches further."""
    tail = (1.0 - level) / 2.0
    called = members_called(members, non_members, false_positives)
    resampled = bootstrap_tpr(members, non_members, false_positives, rng=rng, resamples=resamples)
    low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
    return (
        np.minimum(low, lower_limit(called, members.size, tail)),
        np.maximum(high, upper_limit(called, members.size, tail)),
    )
