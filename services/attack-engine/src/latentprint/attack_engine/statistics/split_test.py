"""The split test: were member and non-member samples drawn alike."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from latentprint.attack_engine.statistics.estimates import SplitTest
from latentprint.attack_engine.statistics.image_features import Features, standardised
from latentprint.attack_engine.statistics.sample_features import sample_features
from latentprint.core.errors import DataError
from latentprint.core.samples import Samples, is_vector

METHOD = "MMD, radial kernel on coarse pixels and image statistics, permutation p-value"
METHOD_OF_VECTORS = "MMD, radial kernel on the features and their statistics, permutation p-value"


def split_test(
    member_images: Samples,
    non_member_images: Samples,
    *,
    rng: np.random.Generator,
    permutations: int = 999,
    most: int = 1000,
    error: float = 0.05,
) -> SplitTest:
    """Maximum mean discrepancy between the two sides (Gretton et al. 2012, unbiased), judged by permuted membership.

    The kernel's width is the median distance of all samples together, so the p-value is valid at any sample size: where
    the sides are drawn alike it falls below `error` with at most that probability.

    Args:
        member_images: uint8 [M, H, W, 3], or float32 vectors [M, F].
        non_member_images: uint8 [N, H, W, 3], or float32 vectors [N, F].
        rng: draws permutations, and samples where there are too many.
        permutations: of membership; the smallest p-value is 1 / (permutations + 1).
        most: samples used of each side; more are sampled down to this.
        error: p-values up to this reject.

    Raises:
        DataError: fewer than two samples on a side.
    """
    members, non_members = _sampled(member_images, most, rng), _sampled(non_member_images, most, rng)
    if min(len(members), len(non_members)) < 2:
        raise DataError(
            f"The split test needs two samples on each side; there are {len(members)} and {len(non_members)}."
        )
    blocks = sample_features(np.concatenate([members, non_members]))
    kernel = _radial_kernel(np.concatenate([standardised(block) for block in blocks], axis=1))
    truth = np.arange(len(kernel)) < len(members)
    labels = np.stack([truth, *(rng.permutation(truth) for _ in range(permutations))], axis=1)  # [S, 1 + P]
    statistics = _mmd_squared(kernel, labels)
    p_value = float(np.mean(statistics >= statistics[0] - np.finfo(np.float32).eps * abs(statistics[0])))
    method = METHOD_OF_VECTORS if is_vector(members.shape[1:]) else METHOD
    return SplitTest(method, float(statistics[0]), p_value, p_value <= error)


def _sampled(images: Samples, most: int, rng: np.random.Generator) -> Samples:
    return images if len(images) <= most else images[np.sort(rng.permutation(len(images))[:most])]


def _radial_kernel(features: Features) -> Features:
    """exp(-d^2 / (2 median^2)) [S, S] with a diagonal of zeros, which the unbiased statistic leaves out."""
    distances = pdist(features)
    width = float(np.median(distances)) or 1.0
    return np.asarray(squareform(np.exp(-0.5 * (distances / width) ** 2)))


def _mmd_squared(kernel: Features, labels: NDArray[np.bool_]) -> Features:
    """Unbiased squared MMD [L] for each column of `labels` [S, L], True = first side."""
    weights = labels.astype(np.float64)
    towards = kernel @ weights  # [S, L]: each sample's sum over the first side
    within = (weights * towards).sum(axis=0)
    across = towards.sum(axis=0) - within
    rest = kernel.sum() - within - 2.0 * across
    first = weights.sum(axis=0)
    second = len(labels) - first
    return np.asarray(
        within / (first * (first - 1.0)) + rest / (second * (second - 1.0)) - 2.0 * across / (first * second)
    )
