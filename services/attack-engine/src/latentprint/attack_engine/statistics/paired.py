"""An attack against a control on the same samples: what the attack finds beyond what the control finds."""

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from latentprint.attack_engine.statistics.auc import placements
from latentprint.attack_engine.statistics.estimates import Difference, Estimate, Interval
from latentprint.attack_engine.statistics.exact import is_small
from latentprint.attack_engine.statistics.scores import Scores
from latentprint.attack_engine.statistics.tail import members_above
from latentprint.core.errors import DataError

PAIRED_DELONG = "paired DeLong"
Sides = tuple[ArrayLike, ArrayLike]
_SWAPS, _FIRST_SWAPS = 4_999, 200
_ENOUGH = 50  # exceedances after which a p-value is known well enough (Besag and Clifford 1991)
_CELLS_AT_ONCE = 2_000_000


def paired_difference(
    control: str,
    attack: Sides,
    other: Sides,
    *,
    false_positives: int | None,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Difference:
    """The attack less the control `other`, on the same samples in the same order.

    The AUCs are compared with DeLong's variance of their difference (DeLong, DeLong and Clarke-Pearson 1988); with
    fewer than 20 samples on a side, or where nothing varies, by exchanging the two at random sample by sample. The
    counts in the tail are always compared by exchanging: where attack and control find alike, which of two answers
    about a sample came from which is a coin's toss. Ranks are exchanged, so that the scores' scales play no part.

    Args:
        control: its name.
        attack: scores of members [M] and non-members [N], higher = member.
        other: the control's scores of the very same samples.
        false_positives: non-members that the tail's threshold allows; None leaves the tail out.
        rng: draws the exchanges.
        level: of the interval, as a fraction.

    Raises:
        DataError: the two did not score the same numbers of samples.
    """
    ours, theirs = _checked(attack, other)
    (above, below), (their_above, their_below) = placements(*ours), placements(*theirs)
    by_member, by_non_member = above - their_above, below - their_below
    value, error = float(by_member.mean()), _standard_error(by_member, by_non_member)
    reach = float(-ndtri((1.0 - level) / 2.0)) * error
    interval = Interval(max(-1.0, value - reach), min(1.0, value + reach), level, PAIRED_DELONG)
    if error > 0.0 and not is_small(by_member.size, by_non_member.size):
        p_above, p_below = float(ndtr(-value / error)), float(ndtr(value / error))
    else:
        p_above = exchange_p_value(ours, theirs, None, rng)
        p_below = exchange_p_value(theirs, ours, None, rng)
    p_tail = None if false_positives is None else exchange_p_value(ours, theirs, false_positives, rng)
    return Difference(control, Estimate(value, interval), p_above, p_below, p_tail)


def exchange_p_value(
    ours: tuple[Scores, Scores], theirs: tuple[Scores, Scores], false_positives: int | None, rng: np.random.Generator
) -> float:
    """One-sided p-value of "no more than theirs", by exchanging ranks sample by sample.

    Of the AUC where `false_positives` is None, else of the members above the threshold that so many non-members pass.
    Exchanges stop early where the answer is clear; the smallest p-value is 1 / 5,000.
    """
    first, second = _ranks(*ours), _ranks(*theirs)
    split = ours[0].size
    if false_positives is not None:
        relevant = _relevant(first, second, split, false_positives)
        first, second, split = first[relevant], second[relevant], int(np.count_nonzero(relevant[:split]))

    def excess(a: Scores, b: Scores) -> Scores:
        if false_positives is None:
            return np.asarray((a - b)[:, :split].sum(axis=1), dtype=np.float64)
        sides = ((x[:, :split], x[:, split:]) for x in (a, b))
        mine, others = (members_above(*side, false_positives) for side in sides)
        return np.asarray(mine - others, dtype=np.float64)

    observed = float(excess(first[None], second[None])[0])
    most, reached, drawn = max(1, _CELLS_AT_ONCE // max(1, first.size)), 0, 0
    while drawn < _SWAPS and reached < _ENOUGH:
        rows = min(most, _SWAPS - drawn, max(_FIRST_SWAPS, drawn))
        swap = rng.random((rows, first.size)) < 0.5
        values = excess(np.where(swap, second, first), np.where(swap, first, second))
        reached += int(np.count_nonzero(values >= observed))
        drawn += rows
    return (1 + reached) / (1 + drawn)


def _relevant(
    first: Scores, second: Scores, split: int, false_positives: int
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Samples that can come to lie above a threshold after any exchange, and non-members that can set one."""
    lower = np.minimum(first, second)[split:]
    lowest_threshold = np.sort(lower)[lower.size - 1 - false_positives]
    return np.asarray(np.maximum(first, second) >= lowest_threshold)


def _ranks(members: Scores, non_members: Scores) -> Scores:
    return np.asarray(scipy.stats.rankdata(np.concatenate([members, non_members])))


def _standard_error(by_member: Scores, by_non_member: Scores) -> float:
    if min(by_member.size, by_non_member.size) < 2:
        return 0.0
    return float((by_member.var(ddof=1) / by_member.size + by_non_member.var(ddof=1) / by_non_member.size) ** 0.5)


def _checked(attack: Sides, other: Sides) -> tuple[tuple[Scores, Scores], tuple[Scores, Scores]]:
    ours, theirs = _arrays(attack), _arrays(other)
    if [side.size for side in ours] != [side.size for side in theirs]:
        raise DataError(
            f"Two attacks can be compared on the same samples only: one scored {ours[0].size} members and "
            f"{ours[1].size} non-members, the other {theirs[0].size} and {theirs[1].size}."
        )
    return ours, theirs


def _arrays(sides: Sides) -> tuple[Scores, Scores]:
    return np.asarray(sides[0], dtype=np.float64), np.asarray(sides[1], dtype=np.float64)
