"""The tail of the scores: members above a threshold that hardly any non-member passes, and what guessing puts there.

An AUC averages over all members; a leak of one member in a hundred hardly moves it and stands out here.
"""

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from latentprint.attack_engine.statistics.estimates import TailCount
from latentprint.attack_engine.statistics.scores import Counts, Rates, Scores, both_sides
from latentprint.attack_engine.statistics.thresholds import false_positives_allowed, members_called

TAIL_FPRS = (0.001, 0.01)
_STEPS = 40
_NEGLIGIBLE = 1e-6
_WIDEST, _DEVIATIONS = 30, 4.0  # how far above a count the search for one that exceeds it goes


def tail_count(member_scores: ArrayLike, non_member_scores: ArrayLike) -> TailCount | None:
    """Members above the threshold that a fixed number of non-members passes, with its exact p-value.

    The number k comes from the sizes alone: the lowest of `TAIL_FPRS` that so many non-members resolve. If membership
    tells nothing about scores, every order of the pooled samples is equally likely, and c or more members stand before
    the (k + 1)-th non-member exactly where the first c + k hold at most k non-members: a hypergeometric tail. Members
    tied with the excluded non-member do not count, which can only raise the p-value.

    Args:
        member_scores: float [M], higher = member.
        non_member_scores: float [N].

    Returns:
        None with fewer than 100 non-members, where no such threshold exists.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    target = tail_target(non_members.size)
    if target is None:
        return None
    allowed = false_positives_allowed(target, non_members.size)
    found = int(members_called(members, non_members, np.array([allowed]))[0])
    return TailCount(
        target_fpr=target,
        members=members.size,
        non_members=non_members.size,
        true_positives=found,
        false_positives=allowed,
        expected=expected_by_guessing(members.size, non_members.size, allowed),
        p_value=tail_p_value(found, allowed, members.size, non_members.size),
    )


def tail_target(non_members: int) -> float | None:
    """The lowest of `TAIL_FPRS` that `non_members` resolve; None where they resolve none."""
    resolved = (target for target in TAIL_FPRS if false_positives_allowed(target, non_members))
    return next(resolved, None)


def tail_p_value(true_positives: int, false_positives: int, members: int, non_members: int) -> float:
    """How often guessing finds `true_positives` or more members before it has accused more than `false_positives`."""
    return float(_p_values(np.array([true_positives]), false_positives, np.array([members]), non_members)[0])


def expected_by_guessing(members: int, non_members: int, false_positives: int) -> float:
    """Members that stand above the threshold on average where scores tell nothing."""
    return (false_positives + 1) * members / (non_members + 1)


def critical_count(members: int, non_members: int, false_positives: int, error: float) -> int | None:
    """The fewest members above the threshold that guessing reaches with probability `error` or less.

    None where not even all members would do.
    """
    if tail_p_value(members, false_positives, members, non_members) > error:
        return None
    few, many = 0, members
    while many - few > 1:
        middle = (few + many) // 2
        enough = tail_p_value(middle, false_positives, members, non_members) <= error
        few, many = (few, middle) if enough else (middle, many)
    return many


def detectable_share(
    members: int, non_members: int, *, controls: int = 0, power: float = 0.8, error: float = 0.025
) -> float | None:
    """The smallest share of fully exposed members that the tail look sees with probability `power`.

    Exposed members score above every non-member, the others like non-members, and so do all with each of `controls`,
    whose counts the attack's must exceed as well (reckoned by a sign test between the two counts). None where the look
    is off, or where no share would be seen.
    """
    target = tail_target(non_members)
    if target is None:
        return None
    allowed = false_positives_allowed(target, non_members)
    needed = critical_count(members, non_members, allowed, error)
    if needed is None:
        return None
    at_least, needs = _by_chance(allowed, members, non_members), np.array([needed])
    weights = np.ones(1)
    if controls:
        weights = -np.diff(1.0 - (1.0 - at_least) ** controls, append=0.0)  # of the highest of the controls' counts
        needs = np.maximum(needed, _more_than(np.arange(weights.size), error))
    chance = -np.diff(at_least, append=0.0)

    def seen(share: float) -> float:
        exposed = scipy.stats.binom.pmf(np.arange(int(needs.max())), members, share)
        fewer = np.append(0.0, np.cumsum(np.convolve(exposed, chance)[: exposed.size]))
        return float(weights @ (1.0 - fewer[needs]))

    if seen(1.0) < power:
        return None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if seen(middle) >= power else (middle, high)
    return high


def _by_chance(allowed: int, members: int, non_members: int) -> Rates:
    """P(c or more members above the threshold) where scores tell nothing, for c = 0, 1, ... until it is negligible."""
    most = 16
    while most < members and tail_p_value(most, allowed, members, non_members) > _NEGLIGIBLE:
        most *= 2
    counts = np.arange(min(most, members) + 1)
    return _p_values(counts, allowed, np.full(counts.size, members), non_members)


def _more_than(counts: Counts, error: float) -> Counts:
    """The fewest that a sign test at `error` tells from each of `counts` [C], and one more.

    One more, for an exchange moves the thresholds too.
    """
    more = counts[:, None] + np.arange(1, _WIDEST + int(_DEVIATIONS * np.sqrt(2.0 * counts.max())))
    passes = scipy.stats.binom.sf(more - 1, more + counts[:, None], 0.5) <= error
    return np.asarray(more[np.arange(counts.size), passes.argmax(axis=1)] + 1, dtype=np.int64)


def _p_values(found: Counts, allowed: int, members: Counts, non_members: int) -> Rates:
    values: NDArray[np.float64] = scipy.stats.hypergeom.cdf(
        allowed, members + non_members, non_members, found + allowed
    )
    return np.where(found > 0, values, 1.0)


def members_above(members: Scores, non_members: Scores, false_positives: int) -> Counts:
    """Members [C] above the threshold of each of C rows: scores [C, M] and [C, N], not sorted."""
    last = non_members.shape[1] - 1 - false_positives
    excluded = np.partition(non_members, last, axis=1)[:, last]
    return np.asarray((members > excluded[:, None]).sum(axis=1), dtype=np.int64)
