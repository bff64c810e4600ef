"""Part crops: many small crops of every image, each scaled to one size, in one vectorised operation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentprint.core.samples import Size
from latentprint.core.views.boxes import Range, check_ranges, draw_boxes, largest_box, sizes_of, uniform_between
from latentprint.core.views.resampling import resample_boxes
from latentprint.core.views.streams import uniforms

SCALE: Range = (0.08, 0.2)
RATIO: Range = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class PartCropParameters:
    """Where to crop.

    Attributes:
        boxes: int64 [B, M, 4]: top, left, height, width, pixels.
        flips: bool [B, M], mirrored left and right.
        largest: (height, width) that no box drawn alike can exceed, for any sample.
    """

    boxes: NDArray[np.int64]
    flips: NDArray[np.bool_]
    largest: tuple[int, int]


def draw_part_crops(
    sample_ids: NDArray[np.int64],
    image_size: tuple[int, int],
    *,
    crops: int,
    scale: Range = SCALE,
    ratio: Range = RATIO,
    flip_probability: float = 0.5,
    seed: int,
) -> PartCropParameters:
    """Draw `crops` part crops for each sample, from the sample's own stream.

    A sample's crops depend on its id, `seed` and the other arguments, never on the samples beside it, nor on whether
    it is a member; the first m crops of many are those of a draw of m.

    Args:
        sample_ids: int64 [B].
        image_size: (height, width), pixels.
        crops: crops for each sample, M.
        scale: smallest and largest area, fractions of the image's; uniform.
        ratio: smallest and largest aspect ratio (width / height); log-uniform.
        flip_probability: of a left-right mirror.
        seed: of all streams.

    Raises:
        UsageError: a scale, ratio or seed out of range.

    Source: PartCrop (CCS 2024), section 4; the published code's crops and flips.
    """
    draws = uniforms(sample_ids, seed, (crops, 5), purpose="part crops")

    def retries() -> NDArray[np.float64]:
        return uniforms(sample_ids, seed, (crops, 9, 2), purpose="part crops, further attempts")

    boxes = draw_boxes(draws[..., :4], retries, image_size, scale, ratio)
    return PartCropParameters(boxes, draws[..., 4] < flip_probability, largest_box(image_size, scale, ratio))


def draw_object_parts(
    sample_ids: NDArray[np.int64],
    objects: NDArray[np.int64],
    image_size: tuple[int, int],
    *,
    crops: int,
    scale: Range,
    ratio: Range = RATIO,
    flip_probability: float = 0.5,
    seed: int,
) -> PartCropParameters:
    """Draw part crops inside each sample's object, with areas that follow the object's.

    Args:
        sample_ids: int64 [B].
        objects: int64 [B, 4], boxes of the objects: top, left, height, width.
        image_size: (height, width) of the images, pixels.
        crops: crops for each sample, M.
        scale: smallest and largest area, fractions of the object's box; a part is at least one pixel, and as large
            as the box at most.
        ratio: smallest and largest aspect ratio (width / height); log-uniform.
        flip_probability: of a left-right mirror.
        seed: of all streams; other draws than `draw_part_crops` makes of the same seed.

    Raises:
        UsageError: a scale, ratio or seed out of range.

    Source: PartCrop (CCS 2024), section 9, where adaptive clipping is proposed.
    """
    check_ranges(scale, ratio)
    draws = uniforms(sample_ids, seed, (crops, 5), purpose="parts of objects")
    box = objects[:, None].astype(np.float64)  # [B, 1, 4]
    areas = uniform_between(draws[..., 0], *scale) * box[..., 2] * box[..., 3]
    sizes = sizes_of(areas, draws[..., 1], ratio).clip(1, box[..., 2:])
    corners = box[..., :2] + np.floor(draws[..., 2:4] * (box[..., 2:] - sizes + 1))
    boxes = np.concatenate([corners, sizes], axis=-1).astype(np.int64)
    return PartCropParameters(boxes, draws[..., 4] < flip_probability, image_size)


def part_crops(images: Tensor, parameters: PartCropParameters, side: Size) -> Tensor:
    """Cut out and scale part crops (antialiased bicubic), rounded to pixels.

    Args:
        images: uint8 [B, H, W, 3] on any device.
        parameters: B x M crops.
        side: of the crops, pixels, or their (height, width).

    Returns:
        uint8 [B, M, height, width, 3] on the images' device.
    """
    return _resampled(images, parameters, side, torch.uint8)


def part_crops_float(images: Tensor, parameters: PartCropParameters, side: Size) -> Tensor:
    """Like `part_crops`, unrounded: float32 [B, M, height, width, 3], on the images' scale, overshoot included."""
    return _resampled(images, parameters, side, torch.float32)


def _resampled(images: Tensor, parameters: PartCropParameters, side: Size, dtype: torch.dtype) -> Tensor:
    return resample_boxes(images, parameters.boxes, parameters.flips, side, largest=parameters.largest, dtype=dtype)
