"""Antialiased bicubic resampling of many boxes at once, as two products with matrices of weights."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from latentprint.core.samples import Size, height_width

_A = -0.5  # Keys' cubic, the one that antialiased bicubic resizing uses
_CPU_BUDGET = 1 << 20  # floats of intermediate results at once: they then stay in the cache
_DEVICE_BUDGET = 1 << 27


def resample_boxes(
    images: Tensor,
    boxes: NDArray[np.int64],
    flips: NDArray[np.bool_],
    size: Size,
    *,
    largest: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Cut `boxes` out of `images` and scale each to `size`: antialiased bicubic.

    Equal to cutting out each box and calling `torch.nn.functional.interpolate(mode="bicubic", antialias=True)` on it:
    the kernel is clipped to the box and renormalised, so nothing outside a box ever shows in it.

    Args:
        images: uint8 or float [B, H, W, 3], with values from 0 to 255.
        boxes: int64 [B, M, 4]: top, left, height, width, in pixels and inside the image.
        flips: bool [B, M], mirror left and right afterwards.
        size: side, or (height, width), of the result, pixels.
        largest: (height, width) that no box exceeds. It sets the shape of all computations: keep it the same from
            batch to batch, and an image's crops do not depend on the images beside it, to the bit.
        dtype: torch.uint8 to round and clip, torch.float32 for the values as they are (the bicubic kernel
            overshoots: they may lie a little outside the images' range).

    Returns:
        `dtype` [B, M, height, width, 3] on the images' device.

    Raises:
        ValueError: a box that exceeds `largest`.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, a = -0.5.
    """
    count, per_image = flips.shape
    height, width = height_width(size)
    tall, wide = largest
    if (boxes[..., 2:] > largest).any():
        raise ValueError(f"A box exceeds {largest}, the largest size announced.")
    channels = images.shape[-1]
    down, down_index = _matrices(boxes[..., 2], np.zeros_like(flips), tall, height)
    across, across_index = _matrices(boxes[..., 3], flips, wide, width)
    down, across = down.to(images.device), across.to(images.device)
    places = torch.from_numpy(np.stack([boxes[..., 0], boxes[..., 1], down_index, across_index])).to(images.device)
    result = torch.empty(count, per_image, height, width, channels, dtype=dtype, device=images.device)
    for rows in _chunks(count, per_image * channels * wide * (tall + height), images.device):
        top, left, rows_by, columns_by = places[:, rows].flatten(1)  # [b M]
        cut = _windows(images[rows], top, left, largest)  # [b M, tall, 3 wide]
        lines = torch.bmm(down[rows_by], cut).view(-1, height * channels, wide)  # [b M, height 3, wide]
        values = torch.bmm(lines, across[columns_by].mT).view(-1, per_image, height, channels, width)
        if dtype == torch.uint8:
            values = values.round_().clamp_(0, 255).to(torch.uint8)
        torch.stack(values.unbind(-2), dim=-1, out=result[rows])
    return result


def resize_weights(lengths: NDArray[np.int64], size: int, side: int) -> NDArray[np.float64]:
    """Weights that scale `n` samples on a line to `side`, for every n in `lengths`, none above `size`.

    Returns:
        float64 [len(lengths), side, size]; row i of matrix n holds output i's weights of the n samples, then zeros.
    """
    scale = lengths[:, None, None] / side
    support = np.maximum(scale, 1.0)  # the kernel is stretched when shrinking, so that nothing aliases
    centre = (np.arange(side)[:, None] + 0.5) * scale
    place = np.arange(size)
    weights = _cubic((place + 0.5 - centre) / support) * (place < lengths[:, None, None])
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _matrices(
    lengths: NDArray[np.int64], flips: NDArray[np.bool_], size: int, side: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """Each distinct matrix of weights once, float32 [U, side, size], and which of them each box takes, [B, M]."""
    keys, index = np.unique(lengths * 2 + flips, return_inverse=True)
    weights = resize_weights(keys // 2, size, side).astype(np.float32)
    mirrored = keys % 2 == 1
    weights[mirrored] = weights[mirrored, ::-1]
    return torch.from_numpy(weights), index.reshape(lengths.shape)


def _windows(images: Tensor, top: Tensor, left: Tensor, largest: tuple[int, int]) -> Tensor:
    """Windows of size `largest` from each corner, M for every image, zeros outside: float32 [b M, tall, 3 wide]."""
    tall, wide = largest
    planes = images.permute(0, 1, 3, 2).float()  # [b, H, 3, W]
    planes = functional.pad(planes, (0, wide - 1, 0, 0, 0, tall - 1))
    views = planes.unfold(1, tall, 1).unfold(3, wide, 1).permute(0, 1, 3, 4, 2, 5)  # [b, H, W, tall, 3, wide]
    image = torch.arange(len(images), device=images.device).repeat_interleave(len(top) // len(images))
    return views[image, top, left].flatten(2)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    d = np.abs(distance)
    near = ((_A + 2) * d - (_A + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * _A - 4 * _A
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _chunks(count: int, floats_per_image: int, device: torch.device) -> list[slice]:
    budget = _CPU_BUDGET if device.type == "cpu" else _DEVICE_BUDGET
    size = max(1, budget // floats_per_image)
    return [slice(start, start + size) for start in range(0, count, size)]
