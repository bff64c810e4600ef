"""A threshold on the mean of the signal: EncoderMI-T."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.inference.base import Features, Membership, Scores


@dataclass(frozen=True)
class MeanScorer:
    """Scores are the features' means."""

    threshold: float

    def score(self, features: Features) -> Scores:
        """Mean float64 [S] of each signal."""
        mean: Scores = features.mean(axis=1, dtype=np.float64)
        return mean


@dataclass(frozen=True)
class MeanThreshold:
    """A member where the mean similarity reaches a threshold (EncoderMI, CCS 2021, threshold-based classifier).

    The threshold is the one with the best balanced accuracy on the known samples; only that is fitted, never the sign.
    """

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> MeanScorer:
        """Fit on the known samples; deterministic, so `rng` is not drawn from."""
        del rng
        return MeanScorer(best_threshold(features.mean(axis=1, dtype=np.float64), member))


def best_threshold(scores: NDArray[np.float64], member: Membership) -> float:
    """The threshold, half-way between neighbouring scores float64 [S], with the best balanced accuracy.

    Of several, the middle one; samples reach it from above.
    """
    order = np.argsort(scores, kind="stable")
    ranked, truth = scores[order], member[order]
    missed = np.concatenate([[0], np.cumsum(truth)]) / max(1, np.count_nonzero(truth))
    refused = np.concatenate([[0], np.cumsum(~truth)]) / max(1, np.count_nonzero(~truth))
    gain = refused - missed  # [S + 1]: threshold below the first score, between neighbours, above the last
    distinct = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    gain = np.where(distinct, gain, -np.inf)
    best = np.flatnonzero(gain == gain.max())
    place = int(best[len(best) // 2])
    if place == 0:
        return float(ranked[0])
    if place == len(ranked):
        return float(np.nextafter(ranked[-1], np.inf))
    return float((ranked[place - 1] + ranked[place]) / 2)
