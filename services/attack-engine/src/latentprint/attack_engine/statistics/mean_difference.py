"""The difference of two groups' mean scores: standardised, with its interval, and tested once, sample by sample."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.special import ndtri

from latentprint.attack_engine.statistics.estimates import Estimate, Interval, MeanDifference
from latentprint.attack_engine.statistics.scores import Rates, Scores, both_sides
from latentprint.core.errors import DataError

BONETT, WELCH = "Bonett 2008", "Welch"
Sides = tuple[ArrayLike, ArrayLike]
PERMUTATIONS = 4_999
_FEWEST_PERMUTATIONS, _FIRST_PERMUTATIONS = 999, 200
_ENOUGH = 50  # exceedances after which a p-value is known well enough (Besag and Clifford 1991)
_CELLS_AT_ONCE, _MOST_CELLS = 2_000_000, 200_000_000


@dataclass(frozen=True)
class _Moments:
    """Sizes, difference of means, and variances of the two sides."""

    sizes: tuple[int, int]
    difference: float
    variances: tuple[float, float]

    @classmethod
    def of(cls, members: Scores, non_members: Scores) -> "_Moments":
        variances = float(members.var(ddof=1)), float(non_members.var(ddof=1))
        return cls((members.size, non_members.size), float(members.mean() - non_members.mean()), variances)

    @property
    def squared_error(self) -> float:
        """Variance of the difference."""
        return sum(variance / size for variance, size in zip(self.variances, self.sizes, strict=True))

    @property
    def degrees(self) -> float:
        """Of freedom, after Welch and Satterthwaite."""
        parts = [variance / size for variance, size in zip(self.variances, self.sizes, strict=True)]
        return sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, self.sizes, strict=True))


def mean_difference(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    permutations: int = PERMUTATIONS,
) -> MeanDifference:
    """Members' mean score less non-members', in units of the root of the two variances' mean.

    The interval is Bonett's for unequal variances (Psychological Methods 13, 2008), with Student's quantile at Welch's
    degrees of freedom. The permutation test exchanges membership and studentises (Janssen 1997): exact where members
    and non-members are drawn alike, at any sample size, and its level holds roughly where only their spread differs.

    Args:
        member_scores: float [M], higher = member, finite; at least two.
        non_member_scores: float [N], likewise.
        rng: draws the permutations.
        level: of the interval, as a fraction.
        permutations: of membership at most, where the answer is not clear before; the smallest p-value is one over one
            more. Of more than 40,000 samples there are fewer, down to 999.

    Raises:
        DataError: fewer than two samples on a side, or a score that is not finite.
    """
    members, non_members = _checked(member_scores, non_member_scores)
    moments = _Moments.of(members, non_members)
    scale = _scale(members, non_members)
    error = _bonett_error(moments, scale) if scale > 0.0 else 0.0
    value = moments.difference / scale if scale > 0.0 else 0.0
    estimate = _estimate(value, error, moments, level, BONETT)
    return MeanDifference(*moments.sizes, estimate, *_p_values(members, non_members, moments, rng, permutations))


def paired_mean_difference(
    attack: Sides, other: Sides, *, rng: np.random.Generator, level: float = 0.95
) -> MeanDifference:
    """How much further the attack's members lie above its non-members than those of the control `other` do.

    Both scores are brought to units of their own standard deviations, and compared sample by sample: what an image adds
    to both, whatever the encoder, cancels out.

    Args:
        attack: scores of members [M] and non-members [N], higher = member.
        other: the control's scores of the very same samples, in the same order.
        rng: draws the permutations.
        level: of the interval (Welch's), as a fraction.

    Raises:
        DataError: the two did not score the same numbers of samples; see also `mean_difference`.
    """
    ours, theirs = ([np.asarray(side, dtype=np.float64) for side in sides] for sides in (attack, other))
    if [side.shape for side in ours] != [side.shape for side in theirs]:
        raise DataError("An attack and a control are compared on the same samples, and these are not as many.")
    scales = [_scale(*_checked(*sides)) or 1.0 for sides in (ours, theirs)]
    differences = [mine / scales[0] - its / scales[1] for mine, its in zip(ours, theirs, strict=True)]
    members, non_members = _checked(*differences)
    moments = _Moments.of(members, non_members)
    estimate = _estimate(moments.difference, moments.squared_error**0.5, moments, level, WELCH)
    return MeanDifference(*moments.sizes, estimate, *_p_values(members, non_members, moments, rng, PERMUTATIONS))


def detectable_difference(members: int, non_members: int, *, power: float = 0.8, error: float = 0.05) -> float:
    """The smallest standardised difference that so many samples show with probability `power`, one-sided at `error`."""
    return float((ndtri(power) - ndtri(error)) * (1.0 / members + 1.0 / non_members) ** 0.5)


def _checked(member_scores: ArrayLike, non_member_scores: ArrayLike) -> tuple[Scores, Scores]:
    members, non_members = both_sides(member_scores, non_member_scores)
    if min(members.size, non_members.size) < 2:
        raise DataError("A difference of means needs at least two samples on each side.")
    return members, non_members


def _scale(members: Scores, non_members: Scores) -> float:
    """The root of the two variances' mean; where neither side varies, the deviation of both together."""
    within = float(((members.var(ddof=1) + non_members.var(ddof=1)) / 2.0) ** 0.5)
    return within or float(np.concatenate([members, non_members]).std())


def _bonett_error(moments: _Moments, scale: float) -> float:
    """Standard error of the standardised difference."""
    value = moments.difference / scale
    free = [size - 1 for size in moments.sizes]
    of_scale = sum(variance**2 / count for variance, count in zip(moments.variances, free, strict=True)) / 8.0
    of_means = sum(variance / count for variance, count in zip(moments.variances, free, strict=True))
    return float((value**2 * of_scale / scale**4 + of_means / scale**2) ** 0.5)


def _estimate(value: float, error: float, moments: _Moments, level: float, method: str) -> Estimate:
    quantile = float(scipy.stats.t.isf((1.0 - level) / 2.0, moments.degrees)) if error > 0.0 else 0.0
    return Estimate(value, Interval(value - quantile * error, value + quantile * error, level, method))


def _p_values(
    members: Scores, non_members: Scores, moments: _Moments, rng: np.random.Generator, permutations: int
) -> tuple[float, float]:
    """One-sided, of a difference no larger than 0: Welch's, and by permutation."""
    if moments.squared_error == 0.0:
        welch = 0.0 if moments.difference > 0.0 else 1.0
    else:
        welch = float(scipy.stats.t.sf(moments.difference / moments.squared_error**0.5, moments.degrees))
    return welch, _permutation_p(np.concatenate([members, non_members]), members.size, rng, permutations)


def _permutation_p(scores: Scores, members: int, rng: np.random.Generator, permutations: int) -> float:
    """Of the studentised difference; stops early where the answer is clear."""
    centred = scores - scores.mean()  # so that sums of squares lose no digits
    observed = float(_studentised(centred[None], members)[0])
    total = min(permutations, max(_FEWEST_PERMUTATIONS, _MOST_CELLS // scores.size))
    most, reached, drawn = max(1, _CELLS_AT_ONCE // scores.size), 0, 0
    while drawn < total and reached < _ENOUGH:
        rows = min(most, total - drawn, max(_FIRST_PERMUTATIONS, drawn))
        permuted = rng.permuted(np.broadcast_to(centred, (rows, scores.size)), axis=1)
        reached += int(np.count_nonzero(_studentised(permuted, members) >= observed - 1e-12 * abs(observed)))
        drawn += rows
    return (1 + reached) / (1 + drawn)


def _studentised(scores: Scores, members: int) -> Rates:
    """Welch's t [P] of each row of scores [P, S], whose first `members` are members."""
    sides = scores[:, :members], scores[:, members:]
    error = sum(side.var(axis=1, ddof=1) / side.shape[1] for side in sides)
    difference = sides[0].mean(axis=1) - sides[1].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(difference / np.sqrt(error), posinf=np.inf, neginf=-np.inf))
