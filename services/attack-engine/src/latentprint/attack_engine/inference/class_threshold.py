"""A threshold for each class on one metric: MBA."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.inference.base import Features, Membership, Scores
from latentprint.attack_engine.inference.threshold import best_threshold


@dataclass(frozen=True)
class ClassThresholdScorer:
    """Scores are the metric itself; decisions are by class.

    Attributes:
        threshold: of classes that have none of their own.
        classes: int64 [C], those that have, sorted.
        thresholds: float64 [C].
    """

    threshold: float
    classes: NDArray[np.int64]
    thresholds: NDArray[np.float64]

    def score(self, features: Features) -> Scores:
        """The metric float64 [S] of features [S, 2]."""
        return _metric(features)

    def decide(self, features: Features) -> Membership:
        """See `Decider.decide`: whether the metric reaches the threshold of the sample's class."""
        label = _label(features)
        known = np.isin(label, self.classes)
        threshold = np.full(len(label), self.threshold)
        threshold[known] = self.thresholds[np.searchsorted(self.classes, label[known])]
        called: Membership = _metric(features) >= threshold
        return called


@dataclass(frozen=True)
class ClassThreshold:
    """A member where the metric reaches its class's threshold (Song and Mittal, USENIX Security 2021).

    A signal is (metric, class), the metric's sign such that members' are higher. Each threshold is the one with the
    best balanced accuracy on the known samples of the class; a class without known samples of both sides takes that
    of all classes together. Only thresholds are fitted, never the sign.
    """

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> ClassThresholdScorer:
        """Fit on float32 [S, 2]; deterministic, so `rng` is not drawn from."""
        del rng
        metric, label = _metric(features), _label(features)
        classes = np.intersect1d(label[member], label[~member])
        thresholds = [best_threshold(metric[label == own], member[label == own]) for own in classes]
        return ClassThresholdScorer(best_threshold(metric, member), classes, np.array(thresholds, dtype=np.float64))


def _metric(features: Features) -> Scores:
    if features.shape[1] != 2:
        raise ValueError(f"thresholds by class read (metric, class), not {features.shape[1]} entries")
    return features[:, 0].astype(np.float64)


def _label(features: Features) -> NDArray[np.int64]:
    return features[:, 1].astype(np.int64)
