"""Antialiased bicubic resampling of many boxes at once, as two products with matrices of weights."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_A = -0.5  # Keys' cubic, the one that antialiased bicubic resizing uses
_CPU_BUDGET = 1 << 20  # floats of intermediate results at once: they then stay in the cache
_DEVICE_BUDGET = 1 << 27


def resample_boxes(
    images: Tensor,
    boxes: NDArray[np.int64],
    flips: NDArray[np.bool_],
    side: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Cut `boxes` out of `images` and scale each to side x side: antialiased bicubic.

    Equal to cutting out each box and calling `torch.nn.functional.interpolate(mode="bicubic", antialias=True)` on it:
    the kernel is clipped to the box and renormalised, so nothing outside a box ever shows in it.

    Args:
        images: uint8 or float [B, H, W, 3], with values from 0 to 255.
        boxes: int64 [B, M, 4]: top, left, height, width, in pixels and inside the image.
        flips: bool [B, M], mirror left and right afterwards.
        side: height and width of the result, pixels.
        dtype: torch.uint8 to round and clip, torch.float32 for the values as they are (the bicubic kernel
            overshoots: they may lie a little outside the images' range).

    Returns:
        `dtype` [B, M, side, side, 3] on the images' device.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, a = -0.5.
    """
    count, height, width, channels = images.shape
    per_image = boxes.shape[1]
    upright = np.zeros_like(flips)
    down = _weights(boxes[..., 0], boxes[..., 2], upright, height, side, images.device)
    across = _weights(boxes[..., 1], boxes[..., 3], flips, width, side, images.device)
    result = torch.empty(count, per_image, side, side, channels, dtype=dtype, device=images.device)
    for rows in _chunks(count, per_image * side * (height + channels * width), images.device):
        planes = images[rows].permute(0, 1, 3, 2).float().flatten(2)  # [b, H, 3 W]
        lines = torch.bmm(down(rows).flatten(1, 2), planes)  # [b, M S, 3 W]
        lines = lines.view(-1, side * channels, width)  # [b M, S 3, W]
        values = torch.bmm(lines, across(rows).flatten(0, 1).mT).view(-1, per_image, side, channels, side)
        if dtype == torch.uint8:
            values = values.round_().clamp_(0, 255).to(torch.uint8)
        torch.stack(values.unbind(-2), dim=-1, out=result[rows])
    return result


def resize_weights(lengths: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Weights that scale `n` samples on a line to `side`, for every n in `lengths`.

    Returns:
        float64 [len(lengths), side, longest]; row i of matrix n holds output i's weights of the n samples, then zeros.
    """
    scale = lengths[:, None, None] / side
    support = np.maximum(scale, 1.0)  # the kernel is stretched when shrinking, so that nothing aliases
    centre = (np.arange(side)[:, None] + 0.5) * scale
    place = np.arange(lengths.max())
    weights = _cubic((place + 0.5 - centre) / support) * (place < lengths[:, None, None])
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


class _Weights:
    """Weight matrices of many boxes, each distinct one held once."""

    def __init__(self, table: Tensor, index: Tensor) -> None:
        self._table = table  # [U, S, size]
        self._index = index  # [B, M]

    def __call__(self, rows: slice) -> Tensor:
        """The matrices of a range of images: [b, M, S, size]."""
        index = self._index[rows]
        return self._table.index_select(0, index.reshape(-1)).view(*index.shape, *self._table.shape[1:])


def _weights(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    flips: NDArray[np.bool_],
    size: int,
    side: int,
    device: torch.device,
) -> _Weights:
    """Along one axis of `size` pixels: the matrices that scale starts .. starts + lengths to `side`."""
    keys, index = np.unique((starts * (size + 1) + lengths) * 2 + flips, return_inverse=True)
    first, length, flip = keys // 2 // (size + 1), keys // 2 % (size + 1), keys % 2 == 1
    distinct, which = np.unique(length, return_inverse=True)
    bank = np.pad(resize_weights(distinct, side).astype(np.float32), ((0, 0), (0, 0), (size, size)))
    windows = np.lib.stride_tricks.sliding_window_view(bank, size, axis=-1)  # [distinct, S, offset, size]
    table = windows[which, :, size - first]  # [U, S, size], each matrix moved to where its boxes start
    table[flip] = table[flip, ::-1]
    return _Weights(torch.from_numpy(table).to(device), torch.from_numpy(index.reshape(starts.shape)).to(device))


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    d = np.abs(distance)
    near = ((_A + 2) * d - (_A + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * _A - 4 * _A
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _chunks(count: int, floats_per_image: int, device: torch.device) -> list[slice]:
    budget = _CPU_BUDGET if device.type == "cpu" else _DEVICE_BUDGET
    size = max(1, budget // floats_per_image)
    return [slice(start, start + size) for start in range(0, count, size)]
