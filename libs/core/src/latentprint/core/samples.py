"""What travels from data sets to encoders: images or vectors, told apart by the shape of one sample."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError

Images = NDArray[np.uint8]  # [B, H, W, 3], RGB
Vectors = NDArray[np.float32]  # [B, F]
Size = int | tuple[int, int]  # of images, pixels: the side of square ones, or (height, width)
Samples = NDArray[Any]  # Images or Vectors, as the sample shape says: (H, W, 3) or (F,)


def height_width(size: Size) -> tuple[int, int]:
    """(height, width) of images of a size."""
    return (size, size) if isinstance(size, int) else size


def size_of(height: int, width: int) -> Size:
    """The size of such images: a side where they are square."""
    return height if height == width else (height, width)


def parse_size(text: str, option: str) -> Size:
    """A size as users and endpoints write it, "224" or "128x64" (height first). Raises `UsageError` naming `option`."""
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdecimal() and int(side) for side in sides):
        raise UsageError(f"{option} must be a side in pixels, such as 224, or height and width, 128x64, not {text!r}.")
    return size_of(int(sides[0]), int(sides[-1]))


def written(size: Size) -> str:
    """A size as `parse_size` reads it: "224", or "128x64"."""
    height, width = height_width(size)
    return str(height) if height == width else f"{height}x{width}"


def described(size: Size) -> str:
    """A size in words: "32x32", height first."""
    return "{}x{}".format(*height_width(size))


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
