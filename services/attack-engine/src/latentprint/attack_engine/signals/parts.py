"""Which parts PartCrop asks for: anywhere in the image, or where the object is."""

from pathlib import Path

from latentprint.attack_engine.signals.saliency import gradient_saliency, object_boxes, spectral_residual
from latentprint.core.datasets import Ids, Images
from latentprint.core.views.boxes import Range
from latentprint.core.views.part_crops import PartCropParameters, draw_object_parts, draw_part_crops

SPECTRAL = "spectral"

_SMALL_IMAGE = 64
_SMALL_PART = 16


def draw_parts(images: Images, sample_ids: Ids, *, crops: int, scale: Range, seed: int) -> PartCropParameters:
    """Parts anywhere in uint8 [B, H, W, 3], as the paper draws them."""
    return draw_part_crops(sample_ids, (images.shape[1], images.shape[2]), crops=crops, scale=scale, seed=seed)


def draw_adaptive_parts(
    images: Images, sample_ids: Ids, *, crops: int, scale: Range, saliency: str, seed: int
) -> PartCropParameters:
    """Parts inside each image's object (PartCrop, the improvement proposed in Sec. 9).

    Args:
        images: uint8 [B, H, W, 3].
        sample_ids: int64 [B].
        crops: parts an image.
        scale: range of a part's share of the object's box.
        saliency: "spectral" (from the image alone), or a bundle's folder, whose encoder's gradients tell where the
            object is; that encoder is local and no query is spent.
        seed: of the draws.
    """
    maps = spectral_residual(images) if saliency == SPECTRAL else gradient_saliency(images, Path(saliency))
    size = (images.shape[1], images.shape[2])
    return draw_object_parts(sample_ids, object_boxes(maps), size, crops=crops, scale=scale, seed=seed)


def part_side(image_size: tuple[int, int]) -> int:
    """Side of a scaled part, pixels: 16 for images up to 64 pixels, a quarter of the shorter side above."""
    shorter = min(image_size)
    return _SMALL_PART if shorter <= _SMALL_IMAGE else shorter // 4
