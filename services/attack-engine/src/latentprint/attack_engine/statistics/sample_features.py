"""What can be told of a sample without any encoder, be it an image or a vector."""

import numpy as np

from latentprint.attack_engine.statistics.image_features import DESCRIPTION, Features, image_features
from latentprint.core.samples import Samples, Vectors, is_vector

_LARGEST = 1024
_BLOCK = 4096  # features projected at once
_SEED = 0
_VECTORS = "the features themselves; mean, spread and largest of them, and the fraction that is zero"
_PROJECTED = f"{_LARGEST} fixed random projections of the features; mean, spread, largest, and the fraction of zeros"


def sample_features(samples: Samples) -> tuple[Features, Features]:
    """Features and statistics of uint8 images [B, H, W, 3] (see `image_features`) or of vectors [B, F].

    Returns:
        Float64 [B, P] and [B, S]. A sample's features depend on no other sample. Vectors of more than 1,024 numbers are
        projected onto 1,024 random directions, always the same ones, which keep distances (Johnson and Lindenstrauss).
    """
    if not is_vector(samples.shape[1:]):
        return image_features(samples)
    return _projected(samples), _statistics(samples)


def described(samples: Samples) -> str:
    """The features of such samples in words."""
    if not is_vector(samples.shape[1:]):
        return DESCRIPTION
    return _VECTORS if samples.shape[1] <= _LARGEST else _PROJECTED


def _projected(vectors: Vectors) -> Features:
    if vectors.shape[1] <= _LARGEST:
        return vectors.astype(np.float64)
    generator = np.random.default_rng(_SEED)
    projected = np.zeros((len(vectors), _LARGEST))
    for start in range(0, vectors.shape[1], _BLOCK):
        part = vectors[:, start : start + _BLOCK]
        directions = generator.standard_normal((part.shape[1], _LARGEST), dtype=np.float32)
        projected += part @ directions
    return np.asarray(projected / np.sqrt(_LARGEST))


def _statistics(vectors: Vectors) -> Features:
    columns = [vectors.mean(axis=1), vectors.std(axis=1), vectors.max(axis=1), (vectors == 0).mean(axis=1)]
    return np.stack(columns, axis=1).astype(np.float64)
