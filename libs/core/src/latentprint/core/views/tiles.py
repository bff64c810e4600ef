"""A grid of overlapping tiles of each image: a feature map's place-holder where an endpoint returns none."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.core.views.resampling import resample_boxes


def tile_boxes(image_size: tuple[int, int], grid: int, overlap: float) -> NDArray[np.int64]:
    """Boxes of a `grid` x `grid` of equal tiles that cover an image, row by row.

    Args:
        image_size: (height, width), pixels.
        grid: tiles along a side.
        overlap: fraction of a tile that its neighbour shares, before rounding to pixels.

    Returns:
        int64 [grid ** 2, 4]: top, left, height, width.

    Raises:
        UsageError: no tile, an overlap outside [0, 1), or tiles of less than one pixel.
    """
    if grid < 1 or not 0 <= overlap < 1:
        raise UsageError(f"A tile map needs at least one tile and an overlap in [0, 1), not {grid} and {overlap}.")
    tall, wide = (_tile_side(side, grid, overlap) for side in image_size)
    tops, lefts = (
        np.rint(np.linspace(0, side - tile, grid)).astype(np.int64)
        for side, tile in zip(image_size, (tall, wide), strict=True)
    )
    top, left = np.meshgrid(tops, lefts, indexing="ij")
    return np.stack([top.ravel(), left.ravel(), np.full(grid**2, tall), np.full(grid**2, wide)], axis=1)


def tiles(images: Tensor, grid: int, overlap: float, side: Size) -> Tensor:
    """Cut out the tiles of each image and scale them (antialiased bicubic).

    Args:
        images: uint8 [B, H, W, 3] on any device.
        grid: tiles along a side.
        overlap: fraction of a tile that its neighbour shares.
        side: of a scaled tile, pixels, or their (height, width).

    Returns:
        uint8 [B, grid ** 2, height, width, 3] on the images' device.
    """
    boxes = tile_boxes((images.shape[1], images.shape[2]), grid, overlap)
    repeated = np.broadcast_to(boxes, (len(images), *boxes.shape))
    largest = (int(boxes[0, 2]), int(boxes[0, 3]))
    unflipped = np.zeros(repeated.shape[:2], dtype=np.bool_)
    return resample_boxes(images, repeated, unflipped, side, largest=largest, dtype=torch.uint8)


def _tile_side(side: int, grid: int, overlap: float) -> int:
    tile = -(-side // grid) if overlap == 0 else round(side / ((grid - 1) * (1 - overlap) + 1))
    if tile < 1 or side < grid:
        raise UsageError(f"{grid} tiles along a side of {side} pixels would be less than a pixel each.")
    return max(tile, -(-side // grid))
