"""The exact permutation test of an AUC, for sides too small for a normal approximation."""

import numpy as np
import scipy

from latentprint.attack_engine.statistics.scores import Rates, Scores

FEW = 20
_MOST = 200


def is_small(members: int, non_members: int) -> bool:
    """Whether a side has too few samples for a normal approximation, and both few enough to be counted out."""
    return min(members, non_members) < FEW and members + non_members <= _MOST


def exact_p_values(members: Scores, non_members: Scores) -> tuple[float, float]:
    """One-sided p-values of AUC <= 0.5 and of AUC >= 0.5 over all assignments of the pooled scores to the sides.

    Ties have mid-ranks, so they are held to exactly. Counted by the rank sums of every subset of the smaller side's
    size (Mann and Whitney 1947's distribution, with ties).
    """
    if members.size > non_members.size:
        below, above = exact_p_values(non_members, members)
        return above, below
    ranks = np.rint(2.0 * scipy.stats.rankdata(np.concatenate([members, non_members]))).astype(np.int64)
    counts = _subsets_by_sum(ranks, members.size)
    total, sums = counts.sum(), np.arange(counts.size)
    own = int(ranks[: members.size].sum())
    return float(counts[sums >= own].sum() / total), float(counts[sums <= own].sum() / total)


def _subsets_by_sum(ranks: "np.ndarray[tuple[int], np.dtype[np.int64]]", size: int) -> Rates:
    """How many subsets of `size` of the ranks have each sum, index = sum."""
    largest = int(np.sort(ranks)[-size:].sum())
    counts = np.zeros((size + 1, largest + 1))
    counts[0, 0] = 1.0
    for rank in ranks:
        counts[1:, rank:] += counts[:-1, : largest + 1 - rank].copy()
    return np.asarray(counts[size])
