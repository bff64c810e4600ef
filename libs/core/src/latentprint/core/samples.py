"""What travels from data sets to encoders: images or vectors, told apart by the shape of one sample."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # [B, H, W, 3], RGB
Vectors = NDArray[np.float32]  # [B, F]
Samples = NDArray[Any]  # Images or Vectors, as the sample shape says: (H, W, 3) or (F,)


def is_vector(sample_shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape are vectors (F,), not images (H, W, 3)."""
    return len(sample_shape) == 1


def sample_dtype(sample_shape: tuple[int, ...]) -> np.dtype[Any]:
    """float32 of vectors, uint8 of images."""
    return np.dtype(np.float32 if is_vector(sample_shape) else np.uint8)


def sample_bytes(sample_shape: tuple[int, ...]) -> int:
    """Bytes of one sample."""
    return prod(sample_shape) * sample_dtype(sample_shape).itemsize


def blank_samples(count: int, sample_shape: tuple[int, ...]) -> Samples:
    """`count` black images, uint8 [count, H, W, 3], or zero vectors, float32 [count, F]."""
    return np.zeros((count, *sample_shape), dtype=sample_dtype(sample_shape))
