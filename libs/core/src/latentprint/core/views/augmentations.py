"""Augmentation of whole batches on the device, every image with parameters of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size, height_width
from latentprint.core.views.blur import gaussian_blur
from latentprint.core.views.boxes import Range, check_ranges, draw_boxes
from latentprint.core.views.color import color_jitter, grayscale, solarize
from latentprint.core.views.draws import DRAWS, ViewDraws
from latentprint.core.views.resampling import resample_boxes
from latentprint.core.views.rigid import rotate_translate
from latentprint.core.views.streams import uniforms

_CHUNK = 1 << 20  # pixels augmented at once by `views_for_samples`


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image, in this order; every part is off by default.

    Attributes:
        crop_scale: area of the random crop, fractions of the image's; from 1.0 there is no crop at all.
        crop_ratio: aspect ratio of the crop (width / height) over the result's, log-uniform.
        flip_probability: of a left-right mirror.
        rotation: largest rotation to either side, degrees; uniform.
        translation: largest move along each axis, fraction of the side; uniform.
        jitter_probability: of a change of colour, by the four strengths below.
        brightness: factor uniform in 1 - strength .. 1 + strength (not below 0); `contrast` and `saturation` likewise.
        contrast: see `brightness`.
        saturation: see `brightness`.
        hue: largest shift to either side, turns (at most 0.5).
        grayscale_probability: of losing all colour.
        blur_probability: of a Gaussian blur.
        blur_sigma: its standard deviation, pixels; uniform.
        solarize_probability: of inverting the brighter half of the range.

    Raises:
        UsageError: a probability or range that cannot be.
    """

    crop_scale: Range = (1.0, 1.0)
    crop_ratio: Range = (3 / 4, 4 / 3)
    flip_probability: float = 0.0
    rotation: float = 0.0
    translation: float = 0.0
    jitter_probability: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale_probability: float = 0.0
    blur_probability: float = 0.0
    blur_sigma: Range = (0.1, 2.0)
    solarize_probability: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self.crop_scale, self.crop_ratio)
        for name in ("flip", "jitter", "grayscale", "blur", "solarize"):
            if not 0 <= getattr(self, f"{name}_probability") <= 1:
                raise UsageError(f"{name}_probability must lie in [0, 1].")
        for name in ("rotation", "translation", "brightness", "contrast", "saturation", "hue"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative.")
        if self.hue > 0.5 or not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise UsageError("hue must be at most 0.5, and blur_sigma two positive numbers, low to high.")


MAE = Augmentation(crop_scale=(0.2, 1.0), flip_probability=0.5)
MOCO = Augmentation(
    crop_scale=(0.2, 1.0),
    flip_probability=0.5,
    jitter_probability=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grayscale_probability=0.2,
    blur_probability=0.5,
)
MOCO_WEAK = Augmentation(
    crop_scale=(0.5, 1.0),
    flip_probability=0.5,
    jitter_probability=0.5,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    hue=0.05,
)
DINO = Augmentation(  # blur and solarization with the mean of the paper's probabilities for its two global views
    crop_scale=(0.4, 1.0),
    flip_probability=0.5,
    jitter_probability=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grayscale_probability=0.2,
    blur_probability=0.55,
    solarize_probability=0.1,
)
GENERIC = Augmentation(
    crop_scale=(0.2, 1.0),
    flip_probability=0.5,
    jitter_probability=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grayscale_probability=0.2,
)
RIGID = Augmentation(rotation=15.0, translation=0.1)

PRESETS: Mapping[str, Augmentation] = MappingProxyType(
    {"generic": GENERIC, "moco": MOCO, "moco-weak": MOCO_WEAK, "dino": DINO, "mae": MAE, "rigid": RIGID}
)


def augment(
    images: Tensor, augmentation: Augmentation, generator: Generator, size: Size, rows: slice = slice(None)
) -> Tensor:
    """Augment each image with parameters of its own.

    Args:
        images: uint8 [B, H, W, 3] on any device.
        augmentation: what may happen.
        generator: of the parameters, on any device.
        size: side, or (height, width), of the result, pixels.
        rows: images wanted; parameters are drawn for all, so that those of one do not depend on the rows wanted.

    Returns:
        uint8 [B, height, width, 3] on the images' device, the wanted rows alone.
    """
    draws = torch.rand(len(images), DRAWS, generator=generator, device=generator.device, dtype=torch.float64)
    return apply_draws(images[rows], augmentation, ViewDraws.of(draws[rows].cpu().numpy()), size)


def views_for_samples(
    images: Tensor, sample_ids: NDArray[np.int64], augmentation: Augmentation, *, views: int, seed: int
) -> Tensor:
    """`views` augmented views of each image, drawn from the sample's own stream.

    A sample's views depend on its image, its id and `seed`, never on the samples beside it, nor on whether it is a
    member; the first m views of many are those of a draw of m.

    Args:
        images: uint8 [B, H, W, 3] on any device.
        sample_ids: int64 [B].
        augmentation: what may happen.
        views: views an image, n.
        seed: of all streams.

    Returns:
        uint8 [B, n, H, W, 3] on the images' device.
    """
    count, size = len(images), (images.shape[1], images.shape[2])
    draws = uniforms(sample_ids, seed, (views, DRAWS), purpose="augmented views").reshape(-1, DRAWS)
    result = torch.empty(count * views, *size, 3, dtype=torch.uint8, device=images.device)
    at_once = max(1, _CHUNK // prod(size))
    for start in range(0, count * views, at_once):
        rows = np.arange(start, min(start + at_once, count * views))
        source = images[torch.from_numpy(rows // views).to(images.device)]
        result[start : start + at_once] = apply_draws(source, augmentation, ViewDraws.of(draws[rows]), size)
    return result.view(count, views, *size, 3)


def apply_draws(images: Tensor, augmentation: Augmentation, draws: ViewDraws, size: Size) -> Tensor:
    """The augmentation that `draws` choose for each of uint8 [B, H, W, 3]: uint8 [B, height, width, 3]."""
    pixels = _cropped_and_flipped(images, augmentation, draws, height_width(size))
    steps = [step for step in _steps(augmentation, draws) if step[0].any()]
    if not steps:
        return pixels
    planes = torch.stack(pixels.unbind(-1), dim=1).float().mul_(1 / 255)  # [B, 3, height, width]
    for chosen, change in steps:
        planes = _on_chosen(planes, chosen, change)
    levels = (planes * 255).round_().clamp_(0, 255).to(torch.uint8)
    return torch.stack(levels.unbind(1), dim=-1)


_Change = Callable[[Tensor, NDArray[np.intp]], Tensor]


def _steps(augmentation: Augmentation, draws: ViewDraws) -> list[tuple[NDArray[np.bool_], _Change]]:
    """What follows the crop: which images each change is for, and the change of those images."""
    a = augmentation

    def moved(planes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        degrees = a.rotation * (2 * draws.rotation[rows] - 1)
        return rotate_translate(planes, _on(planes, degrees), _on(planes, a.translation * (2 * draws.shift[rows] - 1)))

    def jittered(planes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        high = 1 + np.array([a.brightness, a.contrast, a.saturation])
        low = np.maximum(2 - high, 0)
        factors = low + (high - low) * draws.factors[rows]
        shifts = a.hue * (2 * draws.hue[rows] - 1)
        brightness, contrast, saturation = (_on(planes, column) for column in factors.T)
        return color_jitter(planes, brightness, contrast, saturation, _on(planes, shifts))

    def blurred(planes: Tensor, rows: NDArray[np.intp]) -> Tensor:
        low, high = a.blur_sigma
        return gaussian_blur(planes, _on(planes, low + (high - low) * draws.sigma[rows]))

    return [
        (np.full(len(draws.flip), a.rotation > 0 or a.translation > 0), moved),
        (draws.jitter < a.jitter_probability, jittered),
        (draws.grayscale < a.grayscale_probability, lambda planes, _: grayscale(planes)),
        (draws.blur < a.blur_probability, blurred),
        (draws.solarize < a.solarize_probability, lambda planes, _: solarize(planes)),
    ]


def _on_chosen(planes: Tensor, chosen: NDArray[np.bool_], change: _Change) -> Tensor:
    """`planes` with the chosen images changed, in place where only some are."""
    rows = np.flatnonzero(chosen)
    if len(rows) == len(planes):
        return change(planes, rows)
    index = torch.from_numpy(rows).to(planes.device)
    return planes.index_copy_(0, index, change(planes[index], rows).contiguous())


def _cropped_and_flipped(images: Tensor, augmentation: Augmentation, draws: ViewDraws, size: tuple[int, int]) -> Tensor:
    """uint8 [B, height, width, 3]; where there is nothing to crop or scale, the pixels themselves."""
    own = (images.shape[1], images.shape[2])
    flips = draws.flip < augmentation.flip_probability
    whole = augmentation.crop_scale[0] == 1.0
    if whole and size == own:
        mirrored = torch.from_numpy(flips).to(images.device).view(-1, 1, 1, 1)
        return torch.where(mirrored, images.flip(2), images) if flips.any() else images
    if whole:
        boxes = np.broadcast_to(np.array([0, 0, *own]), (len(images), 4))
    else:
        low, high = (ratio * size[1] / size[0] for ratio in augmentation.crop_ratio)
        boxes = draw_boxes(draws.box, lambda: draws.retries, own, augmentation.crop_scale, (low, high))
    return resample_boxes(images, boxes[:, None], flips[:, None], size, largest=own, dtype=torch.uint8)[:, 0]


def _on(planes: Tensor, values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(planes.device)
