"""The blind baseline: members against non-members from the samples alone, without asking the endpoint anything."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import pdist

from latentprint.attack_engine.statistics.estimates import BlindBaseline, Estimate, Interval
from latentprint.attack_engine.statistics.image_features import Features, standardised
from latentprint.attack_engine.statistics.permutation import Sides, UnitsOfSides
from latentprint.attack_engine.statistics.sample_features import described, sample_features
from latentprint.attack_engine.statistics.scores import Rates, Scores
from latentprint.core.samples import Samples

PERMUTATION = "permutation"
_RANDOM_FEATURES = 256
_PAIRS_FOR_MEDIAN = 500


@dataclass(frozen=True)
class Blind:
    """The baseline's result with each sample's out-of-fold score, in the order given.

    Scores are ranks within a fold, in (0, 1), higher = member: comparable over folds, for `excess_over_blind`.
    """

    baseline: BlindBaseline
    member_scores: Scores
    non_member_scores: Scores


def blind_baseline(
    member_images: Samples,
    non_member_images: Samples,
    *,
    rng: np.random.Generator,
    units: UnitsOfSides | None = None,
    folds: int = 5,
    permutations: int = 500,
    ridge: float = 1.0,
    level: float = 0.95,
) -> Blind:
    """Tell members from non-members by a cross-fitted classifier on the samples.

    Ridge regression of membership on coarse pixels (or a vector's features), simple statistics and random Fourier
    features of both (a linear and a radial kernel in one), fitted on all folds but the one it scores. The AUC is over
    pairs within a fold: pooled over folds it is biased below 0.5 where there is nothing to find. Scores of different
    folds depend on one another, so the interval comes from permuted membership under the same folds: where samples tell
    nothing it leaves out 0.5 with a probability of at most 1 - level, at any sample size.

    Args:
        member_images: uint8 [M, H, W, 3], or float32 vectors [M, F].
        non_member_images: uint8 [N, H, W, 3], or float32 vectors [N, F].
        rng: draws folds, random features and permutations.
        units: int64 [M] and [N], what the samples of either side belong to; None where each is a unit by itself. A
            unit's samples share a fold, and membership is permuted by unit.
        folds: how often the classifier is fitted; fewer where there are not as many units on a side.
        permutations: of membership, for the interval.
        ridge: penalty, where each of the three kinds of feature has a mean squared norm of 1.
        level: of the interval, as a fraction.

    Raises:
        DataError: fewer than two units on a side.
    """
    sides = Sides.of(len(member_images), len(non_member_images), units, "The blind baseline")
    features = blind_features(np.concatenate([member_images, non_member_images]), rng)
    fold, truth = sides.folds(folds, rng), sides.truth
    ranks, aucs = _cross_fit(features, sides.permuted(permutations, rng), fold, ridge)
    auc = _permutation_estimate(aucs, level)
    baseline = BlindBaseline(auc=auc, above_chance=auc.interval.low > 0.5, features=described(member_images))
    return Blind(baseline, ranks[truth], ranks[~truth])


def blind_features(images: Samples, rng: np.random.Generator) -> Features:
    """Features [S, P] of images [S, H, W, 3] or vectors [S, F]: those of `sample_features`, and random Fourier ones.

    Random Fourier features (Rahimi and Recht 2007) stand for a radial kernel with the median distance as its width.
    """
    linear = np.concatenate([standardised(block) for block in sample_features(images)], axis=1)
    sample = rng.permutation(len(linear))[:_PAIRS_FOR_MEDIAN]
    width = float(np.median(pdist(linear[sample]))) or 1.0
    directions = rng.standard_normal((linear.shape[1], _RANDOM_FEATURES)) / width
    phases = rng.uniform(0.0, 2.0 * np.pi, _RANDOM_FEATURES)
    radial = np.sqrt(2.0 / _RANDOM_FEATURES) * np.cos(linear @ directions + phases)
    return np.concatenate([linear, radial - radial.mean(axis=0)], axis=1)


def _cross_fit(
    features: Features, labels: NDArray[np.bool_], fold: NDArray[np.int64], ridge: float
) -> tuple[Rates, Rates]:
    """Out-of-fold ranks [S] of the first column of `labels` [S, L], and the AUC within folds of every column [L]."""
    ranks = np.empty(len(labels))
    wins, pairs = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for number in np.unique(fold):
        held_out = fold == number
        scores = _fit(features[~held_out], labels[~held_out], ridge, features[held_out])
        order = scipy.stats.rankdata(scores, axis=0)  # [S in fold, L]
        ranks[held_out] = (order[:, 0] - 0.5) / len(order)
        members = labels[held_out].sum(axis=0)
        wins += (order * labels[held_out]).sum(axis=0) - members * (members + 1) / 2.0
        pairs += members * (len(order) - members)
    return ranks, np.divide(wins, pairs, out=np.full(len(wins), 0.5), where=pairs > 0)


def _fit(features: Features, labels: NDArray[np.bool_], ridge: float, held_out: Features) -> Scores:
    """Ridge scores [T, L] of `held_out` features [T, F] for each column of `labels` [S, L]."""
    targets = labels - labels.mean(axis=0)
    if len(features) < features.shape[1]:  # the same solution by way of the smaller system
        return np.asarray(held_out @ features.T @ _solve(features @ features.T, ridge, targets))
    return np.asarray(held_out @ _solve(features.T @ features, ridge, features.T @ targets))


def _solve(gram: Features, ridge: float, targets: Features) -> Features:
    gram[np.diag_indices_from(gram)] += ridge
    return np.asarray(cho_solve(cho_factor(gram), targets))


def _permutation_estimate(aucs: Rates, level: float) -> Estimate:
    """The first AUC, with the reach of the permuted others [P] around 0.5 as its interval's reach."""
    value, permuted = float(aucs[0]), np.sort(aucs[1:])
    beyond = int((1.0 - level) / 2.0 * (permuted.size + 1))
    top = float(permuted[-beyond]) if beyond else 1.0
    bottom = float(permuted[beyond - 1]) if beyond else 0.0
    interval = Interval(max(0.0, value - (top - 0.5)), min(1.0, value + (0.5 - bottom)), level, PERMUTATION)
    return Estimate(value, interval)
