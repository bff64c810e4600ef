"""Moments of what reference models say of a sample, over those trained on it or over the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import DataError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SMALLEST_VARIANCE = 1e-12  # where all references agree to the digit; keeps every score within float32


@dataclass(frozen=True)
class Moments:
    """Of each sample over its chosen references.

    Attributes:
        count: float64 [S, 1], references chosen.
        mean: float64 [S, A]; 0 where none is.
        squares: float64 [S, A], sum of squared deviations from the mean.
    """

    count: Floats
    mean: Floats
    squares: Floats

    @property
    def variance(self) -> Floats:
        """Maximum-likelihood variance of each sample [S, A]."""
        return np.maximum(self.squares / self.count, SMALLEST_VARIANCE)

    @property
    def pooled_variance(self) -> Floats:
        """Variance [1, A] about each sample's own mean, over all samples, by degrees of freedom."""
        freedom = np.maximum(self.count - 1.0, 0.0).sum()
        if freedom == 0:
            raise DataError("No sample has two reference models of one kind; train more reference models.")
        pooled: Floats = self.squares.sum(axis=0, keepdims=True) / freedom
        return np.maximum(pooled, SMALLEST_VARIANCE)


def moments(references: NDArray[np.floating], chosen: Flags) -> Moments:
    """Moments over the references that are `chosen` (bool [K, S]) of what they say (float [K, S, A])."""
    values, weight = references.astype(np.float64), chosen[..., None].astype(np.float64)
    count = weight.sum(axis=0)
    mean = (values * weight).sum(axis=0) / np.maximum(count, 1.0)
    squares = (np.square(values - mean) * weight).sum(axis=0)
    return Moments(count, mean, squares)


def require_references(chosen: Flags, fewest: int, kind: str) -> None:
    """Raise `DataError` where a sample has fewer than `fewest` of its references (bool [K, S]) chosen."""
    lacking = int(np.count_nonzero(chosen.sum(axis=0) < fewest))
    if lacking:
        raise DataError(
            f"{lacking} of {chosen.shape[1]} samples have fewer than {fewest} {kind} reference models; train more "
            "reference models, or leave these samples out."
        )
