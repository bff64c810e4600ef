"""The split test: were member and non-member samples drawn alike."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from latentprint.attack_engine.statistics.estimates import SplitTest
from latentprint.attack_engine.statistics.image_features import Features, standardised
from latentprint.attack_engine.statistics.permutation import Sides, UnitsOfSides
from latentprint.attack_engine.statistics.sample_features import sample_features
from latentprint.core.samples import Samples, is_vector

METHOD = "MMD, radial kernel on coarse pixels and image statistics, permutation p-value"
METHOD_OF_VECTORS = "MMD, radial kernel on the features and their statistics, permutation p-value"


def split_test(
    member_images: Samples,
    non_member_images: Samples,
    *,
    rng: np.random.Generator,
    units: UnitsOfSides | None = None,
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
        units: int64 [M] and [N], what the samples of either side belong to; None where each is a unit by itself.
            Membership is permuted by unit.
        permutations: of membership; the smallest p-value is 1 / (permutations + 1).
        most: samples used of each side; more are sampled down to this.
        error: p-values up to this reject.

    Raises:
        DataError: fewer than two units on a side.
    """
    images = member_images, non_member_images
    rows = tuple(_sampled(len(side), most, rng) for side in images)
    members, non_members = (side[chosen] for side, chosen in zip(images, rows, strict=True))
    kept = None if units is None else (units[0][rows[0]], units[1][rows[1]])
    sides = Sides.of(len(members), len(non_members), kept, "The split test")
    blocks = sample_features(np.concatenate([members, non_members]))
    kernel = _radial_kernel(np.concatenate([standardised(block) for block in blocks], axis=1))
    statistics = _mmd_squared(kernel, sides.permuted(permutations, rng))
    p_value = float(np.mean(statistics >= statistics[0] - np.finfo(np.float32).eps * abs(statistics[0])))
    method = METHOD_OF_VECTORS if is_vector(members.shape[1:]) else METHOD
    return SplitTest(method, float(statistics[0]), p_value, p_value <= error)


def _sampled(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of at most `most` of `count` samples, in their order."""
    return np.arange(count) if count <= most else np.sort(rng.permutation(count)[:most])


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
