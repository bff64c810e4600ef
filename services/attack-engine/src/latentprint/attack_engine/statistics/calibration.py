"""What a score says of one sample, by samples that are known: a calibrated probability and a conformal p-value."""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri

from latentprint.attack_engine.statistics.scores import Rates, Scores, both_sides

PRIOR = 0.5
_STEPS = 50  # of Newton's method, which takes about ten
_SETTLED = 1e-10


@dataclass(frozen=True)
class Calibration:
    """Log-odds of membership as a line in the normal quantile of a score's rank, at even prior odds.

    Platt 1999, with his smoothed targets. Ranks in place of scores: an outlier weighs no more than its place. Nobody is
    called surer than so many known samples could show: the odds stay below M + 1 to 1, and above 1 to N + 1.

    Attributes:
        ranked: float64 [M + N], the known samples' scores, ascending.
        bounds: of the log-odds.
        intercept, slope: of the line, which never falls.
    """

    ranked: Scores
    bounds: tuple[float, float]
    intercept: float
    slope: float

    @classmethod
    def of(cls, member_scores: ArrayLike, non_member_scores: ArrayLike) -> "Calibration":
        """Fit it to scores float [M] and [N] of samples that the attack was not fitted on.

        Raises:
            DataError: a side is empty or a score is not finite.
        """
        members, non_members = both_sides(member_scores, non_member_scores)
        ranked = np.sort(np.concatenate([members, non_members]))
        sides = [_normal_scores(side, ranked) for side in (members, non_members)]
        intercept, slope = _line(*sides)
        if slope < 0:  # the known samples went the other way, by chance: a higher score says nothing, never the reverse
            share = _targets(len(members), len(non_members))
            intercept, slope = float(logit(sum(share) / 2)), 0.0
        return cls(ranked, (-log(non_members.size + 1), log(members.size + 1)), intercept, slope)

    def ratio(self, scores: ArrayLike) -> Scores:
        """Likelihood ratio float64 [S] of member to non-member."""
        return np.exp(self._log_odds(scores))

    def probability(self, scores: ArrayLike) -> Rates:
        """Probability float64 [S] of membership where members and non-members are as many (prior `PRIOR`)."""
        return np.asarray(expit(self._log_odds(scores)))

    def _log_odds(self, scores: ArrayLike) -> Scores:
        line = self.intercept + self.slope * _normal_scores(np.asarray(scores, dtype=np.float64), self.ranked)
        return np.clip(line, *self.bounds)


def conformal_p_values(scores: ArrayLike, non_member_scores: ArrayLike) -> Rates:
    """p-values float64 [S] of "not a member": the share of known non-members, itself counted, that score as high.

    Valid where a non-member among `scores` (float [S]) and the known ones (float [N]) are scored alike and the attack
    was fitted on neither (split conformal, Vovk et al. 2005).
    """
    reference = np.sort(np.asarray(non_member_scores, dtype=np.float64))
    at_least = len(reference) - np.searchsorted(reference, np.asarray(scores, dtype=np.float64), side="left")
    return np.asarray((1 + at_least) / (1 + len(reference)))


def _normal_scores(scores: Scores, ranked: Scores) -> Scores:
    """Normal quantile of each score's mid-rank among `ranked`, as a fraction away from 0 and 1."""
    rank = 0.5 * (np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right"))
    return np.asarray(ndtri((rank + 0.5) / (len(ranked) + 1)))


def _targets(members: int, non_members: int) -> tuple[float, float]:
    """Platt's smoothed targets of so many members and non-members."""
    return (members + 1) / (members + 2), 1 / (non_members + 2)


def _line(members: Scores, non_members: Scores) -> tuple[float, float]:
    """Intercept and slope of the logistic regression of Platt's targets on normal scores, both sides weighing alike."""
    sizes = len(members), len(non_members)
    inputs = np.stack([np.ones(sum(sizes)), np.concatenate([members, non_members])])
    target = np.repeat(_targets(*sizes), sizes)
    weight = np.repeat([0.5 / sizes[0], 0.5 / sizes[1]], sizes)
    line = np.zeros(2)
    for _ in range(_STEPS):
        probability = expit(line @ inputs)
        gradient = inputs @ (weight * (target - probability))
        curvature = (inputs * (weight * probability * (1 - probability))) @ inputs.T
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]  # without a slope where all scores are equal
        line += step
        if np.abs(step).max() < _SETTLED:
            break
    return float(line[0]), float(line[1])
