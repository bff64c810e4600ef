"""The area under the ROC curve: the chance that a member outscores a non-member, ties counting half."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtr, ndtri

from latentprint.attack_engine.statistics.estimates import Estimate, Interval
from latentprint.attack_engine.statistics.exact import exact_p_values, is_small
from latentprint.attack_engine.statistics.scores import Scores, both_sides

DELONG = "DeLong, logit"
NEWCOMBE = "Newcombe"
DELONG_AND_NEWCOMBE = "DeLong, logit, with Newcombe near the ends"
WITH_PERMUTATION = "0.5 by exact permutation"
_FEW_MISORDERINGS = 5.0
_END = 1e-9


@dataclass(frozen=True)
class AucMoments:
    """AUC with its DeLong variance; `variance` is None where a side has one sample or nothing varies.

    `exact` holds one-sided permutation p-values (above and below 0.5) of samples too few for an approximation.
    """

    auc: float
    variance: float | None
    members: int
    non_members: int
    exact: tuple[float, float] | None = None


def auc(member_scores: ArrayLike, non_member_scores: ArrayLike) -> float:
    """AUC as a fraction; 0.5 = chance, 1 = every member above every non-member, ties half.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    above, _ = placements(*both_sides(member_scores, non_member_scores))
    return float(above.mean())


def auc_moments(member_scores: ArrayLike, non_member_scores: ArrayLike) -> AucMoments:
    """AUC and its variance from the placements of each sample in the other side, in O(n log n).

    Source: DeLong, DeLong and Clarke-Pearson 1988.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    above, below = placements(members, non_members)
    value, sizes = float(above.mean()), (members.size, non_members.size)
    exact = exact_p_values(members, non_members) if is_small(*sizes) else None
    if min(sizes) < 2:
        return AucMoments(value, None, *sizes, exact)
    variance = float(above.var(ddof=1) / members.size + below.var(ddof=1) / non_members.size)
    return AucMoments(value, variance if variance > 0.0 else None, *sizes, exact)


def placements(members: Scores, non_members: Scores) -> tuple[Scores, Scores]:
    """For each member the fraction of non-members below it, for each non-member of members above; ties half.

    Scores [M] and [N] in any order; the placements are in theirs.
    """
    ranked, others = np.sort(members), np.sort(non_members)
    beaten = np.searchsorted(others, members, "left") + np.searchsorted(others, members, "right")
    unbeaten = np.searchsorted(ranked, non_members, "left") + np.searchsorted(ranked, non_members, "right")
    return beaten / (2.0 * non_members.size), 1.0 - unbeaten / (2.0 * members.size)


def estimate_auc(member_scores: ArrayLike, non_member_scores: ArrayLike, *, level: float = 0.95) -> Estimate:
    """AUC with its interval at `level`.

    DeLong's variance on the logit scale, which keeps its level down to ten samples a side. It is widened to
    Newcombe's where fewer than five misorderings are expected of the smaller side, and replaced by it where DeLong's
    variance does not exist (perfect separation, all scores equal, one sample a side): never of zero width. With fewer
    than 20 samples on a side it holds 0.5 unless the exact permutation test leaves that out.
    """
    moments = auc_moments(member_scores, non_member_scores)
    return Estimate(moments.auc, auc_interval(moments, level))


def auc_interval(moments: AucMoments, level: float) -> Interval:
    """The interval that `estimate_auc` gives, from moments."""
    approximate = _approximate_interval(moments, level)
    if moments.exact is None:
        return approximate
    above, below = (p <= (1.0 - level) / 2.0 for p in moments.exact)
    low = approximate.low if above else min(approximate.low, 0.5)
    high = approximate.high if below else max(approximate.high, 0.5)
    return Interval(low, high, level, f"{approximate.method}, {WITH_PERMUTATION}")


def p_values(moments: AucMoments) -> tuple[float, float]:
    """One-sided p-values of AUC <= 0.5 and of AUC >= 0.5.

    Dual to the interval: p <= (1 - level) / 2 where it leaves out 0.5. Exact with fewer than 20 samples on a side.
    """
    if moments.exact is not None:
        return moments.exact
    mirrored = AucMoments(1.0 - moments.auc, moments.variance, moments.members, moments.non_members)
    return _approximate_p_value(moments), _approximate_p_value(mirrored)


def _approximate_interval(moments: AucMoments, level: float) -> Interval:
    z = float(-ndtri((1.0 - level) / 2.0))
    if moments.variance is None:
        return Interval(*_newcombe_limits(moments, z), level, NEWCOMBE)
    low, high = _delong_limits(moments, z)
    if not _near_an_end(moments):
        return Interval(low, high, level, DELONG)
    other_low, other_high = _newcombe_limits(moments, z)
    return Interval(min(low, other_low), max(high, other_high), level, DELONG_AND_NEWCOMBE)


def _approximate_p_value(moments: AucMoments) -> float:
    newcombe = (moments.auc - 0.5) / newcombe_variance(0.5, moments.members, moments.non_members) ** 0.5
    if moments.variance is None:
        return float(ndtr(-newcombe))
    value = min(max(moments.auc, _END), 1.0 - _END)
    delong = float(logit(value)) * value * (1.0 - value) / moments.variance**0.5
    return float(ndtr(-min(delong, newcombe) if _near_an_end(moments) else -delong))


def newcombe_variance(auc_value: float, members: int, non_members: int) -> float:
    """Variance of the empirical AUC if the true one is `auc_value`: Newcombe 2006, method 5.

    Hanley and McNeil's formula with both sizes replaced by their mean; at 0.5 it is Mann and Whitney's null variance.
    """
    half = (members + non_members) / 2.0 - 1.0
    spread = 1.0 + half * ((1.0 - auc_value) / (2.0 - auc_value) + auc_value / (1.0 + auc_value))
    return auc_value * (1.0 - auc_value) * spread / (members * non_members)


def _near_an_end(moments: AucMoments) -> bool:
    smaller = min(moments.members, moments.non_members)
    return min(moments.auc, 1.0 - moments.auc) * smaller < _FEW_MISORDERINGS


def _delong_limits(moments: AucMoments, z: float) -> tuple[float, float]:
    assert moments.variance is not None
    value = min(max(moments.auc, _END), 1.0 - _END)
    reach = z * moments.variance**0.5 / (value * (1.0 - value))
    return float(expit(logit(value) - reach)), float(expit(logit(value) + reach))


def _newcombe_limits(moments: AucMoments, z: float) -> tuple[float, float]:
    """The true AUCs that are z standard errors, each its own, below and above the empirical one."""

    def excess(true_auc: float) -> float:
        variance = newcombe_variance(true_auc, moments.members, moments.non_members)
        return float((moments.auc - true_auc) ** 2 - z * z * variance)

    low = 0.0 if moments.auc <= _END else float(scipy.optimize.brentq(excess, 0.0, min(moments.auc, 1.0 - _END)))
    high = 1.0 if moments.auc >= 1.0 - _END else float(scipy.optimize.brentq(excess, max(moments.auc, _END), 1.0))
    return low, high
