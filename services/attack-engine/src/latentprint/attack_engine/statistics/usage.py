"""How much of a collection was trained on: the share of members among candidates whose membership nobody knows.

Both estimates are mean weights of the candidates, corrected by the mean weights of known members and non-members, and
both have the interval of a test at every possible share, in which the calibration's uncertainty is.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from latentprint.attack_engine.statistics.calibration import Calibration
from latentprint.attack_engine.statistics.estimates import Estimate, Interval, Usage
from latentprint.attack_engine.statistics.exact import FEW
from latentprint.attack_engine.statistics.scores import Rates, Scores, as_scores, both_sides

METHOD = "inverted score test, unified near 0 and 1"
_SHARES = np.linspace(0.0, 1.0, 1001)
_PRIORS = (0.25, 0.75)
_WIDEST = 0.5  # to either side of one half: what a half-used collection's interval may reach, so that it says something


@dataclass(frozen=True)
class CalledScores:
    """Scores of one group, float [S], and who of it the attack's own decision calls a member, bool [S]."""

    score: ArrayLike
    called: ArrayLike

    @property
    def decisions(self) -> Rates:
        """1 for who is called a member, else 0: float64 [S]."""
        return np.asarray(self.called, dtype=np.float64)


@dataclass(frozen=True)
class _Weights:
    """Weights of candidates [n], and of known members [M] and non-members [N]."""

    candidates: Rates
    members: Rates
    non_members: Rates

    @property
    def gap(self) -> float:
        """How much more a member weighs than a non-member, on average."""
        return float(self.members.mean() - self.non_members.mean())

    @property
    def variances(self) -> tuple[float, float]:
        """Of one member's weight and of one non-member's.

        As if four more samples lay half the range of all weights away from the mean, after Agresti and Coull 1998: else
        a side whose weights are all equal would leave no doubt about the next one.
        """
        span = float(np.ptp(np.concatenate([self.candidates, self.members, self.non_members])))
        inside, outside = (float(side.var()) + span**2 / side.size for side in (self.members, self.non_members))
        return inside, outside

    def variance(self, share: Rates, candidates: float) -> Rates:
        """Of the candidates' mean weight less what is expected of it at each `share` [K].

        The share is that of the candidates at hand, not of a population: how many of them are members is no chance.
        """
        inside, outside = self.variances
        own = (share * inside + (1 - share) * outside) / candidates
        return own + share**2 * inside / self.members.size + (1 - share) ** 2 * outside / self.non_members.size


def estimate_usage(
    candidates: CalledScores, members: CalledScores, non_members: CalledScores, *, level: float = 0.95
) -> Usage:
    """The share of members among `candidates`.

    `debiased` is (mean decision - FPR) / (TPR - FPR), clipped to [0, 1] (DUCI, ICLR 2025). `likelihood` weighs scores
    instead: by the score function of the mixture's likelihood, (r - 1) / (p r + 1 - p), where r is the calibrated
    likelihood ratio and p the maximum likelihood estimate, held to [0.25, 0.75], beyond which few samples have most of
    the weight. With either, what members and non-members weigh is measured on the known ones, so that a wrong r costs
    precision and no truth.

    Refused where the decision is not shown to call members more often than non-members, and with fewer candidates than
    it takes to tell a collection that is used by half from one that is used wholly or not at all.

    Args:
        candidates: n of them.
        members: known ones, which the attack was not fitted on, and from which used candidates differ in nothing.
        non_members: likewise, of the unused.
        level: of the intervals, as a fraction.

    Raises:
        DataError: a group is empty or a score is not finite.
    """
    scores = both_sides(members.score, non_members.score)
    asked = as_scores(candidates.score, "candidates")
    decisions = _Weights(candidates.decisions, members.decisions, non_members.decisions)
    gap = _gap(decisions, level)
    needed = _needed(decisions, level) if gap.interval.low > 0 else None
    refused = _refusal(gap, needed, asked.size)
    if refused:
        return Usage(asked.size, needed, gap, None, None, refused)
    calibration = Calibration.of(*scores)
    weights = _likelihood_weights(calibration, asked, *scores)
    likelihood = _inverted(weights, level) if calibration.slope > 0 and weights.gap > 0 else None
    return Usage(asked.size, needed, gap, _inverted(decisions, level), likelihood)


def refused_usage(candidates: CalledScores, members: CalledScores, non_members: CalledScores, reason: str) -> Usage:
    """No estimate, for a reason that is not in the scores; what they say of the attack's decision is there.

    See `estimate_usage` for the groups. Raises `DataError` where a group is empty.
    """
    asked = as_scores(candidates.score, "candidates")
    gap = _gap(_Weights(candidates.decisions, members.decisions, non_members.decisions), 0.95)
    return Usage(asked.size, None, gap, None, None, reason)


def _refusal(gap: Estimate, needed: int | None, candidates: int) -> str:
    """Why there is no estimate; "" where there is one."""
    low, high = gap.interval.low, gap.interval.high
    if low <= 0:
        return (
            "the attack does not tell used from unused samples well enough: its TPR less its FPR is "
            f"{gap.value:.3f} [{low:.3f}, {high:.3f}], which is not shown to be above 0."
        )
    if needed is None:
        return (
            "with so few known samples no number of candidates suffices: an interval would reach from none to all. "
            "Give more members and non-members."
        )
    if candidates < needed:
        return f"{candidates} candidates are too few: with this attack and these known samples it takes {needed}."
    return ""


def _gap(decisions: _Weights, level: float) -> Estimate:
    """TPR less FPR with Newcombe's interval of a difference (1998, method 10)."""
    (high_rate, *high), (low_rate, *low) = (_wilson(side, level) for side in (decisions.members, decisions.non_members))
    difference = high_rate - low_rate
    below = sqrt((high_rate - high[0]) ** 2 + (low[1] - low_rate) ** 2)
    above = sqrt((high[1] - high_rate) ** 2 + (low_rate - low[0]) ** 2)
    return Estimate(difference, Interval(difference - below, difference + above, level, "Newcombe"))


def _wilson(decisions: Rates, level: float) -> tuple[float, float, float]:
    """A rate with the limits of its score interval (Wilson 1927)."""
    rate, size, z = float(decisions.mean()), decisions.size, float(ndtri((1 + level) / 2))
    middle, reach = rate + z * z / (2 * size), z * sqrt(rate * (1 - rate) / size + z * z / (4 * size * size))
    return rate, (middle - reach) / (1 + z * z / size), (middle + reach) / (1 + z * z / size)


def _needed(decisions: _Weights, level: float) -> int | None:
    """The fewest candidates that an estimate takes; None where no number is enough."""
    half = np.array([0.5])
    calibration = float(decisions.variance(half, np.inf)[0])
    own = float(decisions.variance(half, 1.0)[0]) - calibration
    left = (_WIDEST * decisions.gap / float(ndtri((1 + level) / 2))) ** 2 - calibration
    return max(FEW, ceil(own / left)) if left > 0 else None


def _likelihood_weights(calibration: Calibration, candidates: Scores, members: Scores, others: Scores) -> _Weights:
    """The score function of the mixture's likelihood at its maximum, of all three groups."""
    ratios = [calibration.ratio(scores) for scores in (candidates, members, others)]
    low, high = _PRIORS
    for _ in range(40):  # bisection: the likelihood is concave in the share
        share = (low + high) / 2
        rising = float(_score_function(ratios[0], share).sum()) > 0
        low, high = (share, high) if rising else (low, share)
    return _Weights(*(_score_function(ratio, share) for ratio in ratios))


def _score_function(ratio: Rates, share: float) -> Rates:
    return np.asarray((ratio - 1) / (share * ratio + 1 - share))


def _inverted(weights: _Weights, level: float) -> Estimate:
    """The share that the weights fit best, and all those that a test at 1 - `level` does not reject."""
    value = float(np.clip((weights.candidates.mean() - weights.non_members.mean()) / weights.gap, 0, 1))
    shares = np.sort(np.append(_SHARES, value))  # an interval may lie between two of them
    expected = shares * weights.members.mean() + (1 - shares) * weights.non_members.mean()
    deviation = np.sqrt(weights.variance(shares, weights.candidates.size))
    distance = (weights.candidates.mean() - expected) / deviation
    kept = shares[_unified_p_values(distance, shares, deviation / weights.gap) >= 1 - level]
    return Estimate(value, Interval(float(kept[0]), float(kept[-1]), level, METHOD))


def _unified_p_values(distance: Rates, shares: Rates, error: Rates) -> Rates:
    """p-value of each of `shares` [K] by the likelihood ratio to the best share in [0, 1] (Feldman and Cousins 1998).

    Two-sided amid, one-sided at 0 and at 1, so that no interval is empty and coverage is the same everywhere.

    Args:
        distance: float64 [K], of what was seen from what is expected at a share, in standard errors.
        shares: float64 [K].
        error: float64 [K], standard error of the estimated share.
    """
    room_below, room_above = shares / error, (1 - shares) / error
    outside = np.maximum(0, -distance - room_below) + np.maximum(0, distance - room_above)
    ratio = np.maximum(distance**2 - outside**2, 0)
    p_values: Rates = _beyond(ratio, room_below) + _beyond(ratio, room_above)
    return np.where(ratio > 0, p_values, 1.0)


def _beyond(ratio: Rates, room: NDArray[np.float64]) -> Rates:
    """Probability [K] of a larger likelihood ratio to one side, which has `room` until the end of [0, 1]."""
    root = np.sqrt(ratio)
    with np.errstate(divide="ignore", invalid="ignore"):  # without any room nothing lies beyond
        reach = np.where(root <= room, root, (ratio + room**2) / (2 * room))
    return np.asarray(np.where(room > 0, ndtr(-reach), 0.0))
