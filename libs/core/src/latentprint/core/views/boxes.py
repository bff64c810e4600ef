"""Random crop boxes: an area and an aspect ratio, then a place, as `RandomResizedCrop` draws them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError

Reals = NDArray[np.float64]
Sizes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Range = tuple[float, float]

_ATTEMPTS = 10


def draw_boxes(
    draws: Reals, retries: Callable[[], Reals], image_size: tuple[int, int], scale: Range, ratio: Range
) -> NDArray[np.int64]:
    """Boxes with an area fraction uniform in `scale` and a log-uniform aspect ratio (width / height), placed uniformly.

    A box that does not fit is drawn again, at most nine times; then the largest
    box within `ratio`, centred, is taken.

    Args:
        draws: float64 [..., 4] in [0, 1): area, ratio, top, left.
        retries: gives float64 [..., 9, 2] in [0, 1), the further areas and ratios; called only where a box failed.
        image_size: (height, width), pixels.
        scale: smallest and largest area, as fractions of the image's.
        ratio: smallest and largest aspect ratio.

    Returns:
        int64 [..., 4]: top, left, height, width.

    Raises:
        UsageError: a scale outside (0, 1] or a ratio that is not positive, or either in the wrong order.

    Source: torchvision's `RandomResizedCrop.get_params`, after Szegedy et al., CVPR 2015.
    """
    check_ranges(scale, ratio)
    sizes, fits = _sizes(draws[..., :2], image_size, scale, ratio)
    if not fits.all():
        sizes, fits = _retried(sizes, fits, retries(), image_size, scale, ratio)
        sizes = np.where(fits[..., None], sizes, np.asarray(_fallback(image_size, ratio)))
    room = np.asarray(image_size) - sizes
    corners = np.where(fits[..., None], np.floor(draws[..., 2:] * (room + 1)), room // 2).astype(np.int64)
    return np.concatenate([corners, sizes], axis=-1)


def check_ranges(scale: Range, ratio: Range) -> None:
    """Raise `UsageError` unless 0 < scale <= 1 and 0 < ratio, each from low to high."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise UsageError(f"The crop scale must be two fractions of the area, low to high in (0, 1], not {scale}.")
    if not 0 < ratio[0] <= ratio[1]:
        raise UsageError(f"The aspect ratio must be two positive numbers, low to high, not {ratio}.")


def largest_box(image_size: tuple[int, int], scale: Range, ratio: Range) -> tuple[int, int]:
    """Height and width that no box of `draw_boxes` exceeds, whatever is drawn."""
    extremes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    sizes, fits = _sizes(extremes, image_size, scale, ratio)
    if not fits.all():  # then some are drawn again, and may end as large as the image
        return image_size
    tall, wide = sizes.max(axis=0).tolist()
    return tall, wide


def uniform_between(draws: Reals, low: float, high: float) -> Reals:
    """Draws in [0, 1) stretched to reach from `low` to `high`."""
    return low + (high - low) * draws


def sizes_of(areas: Reals, draws: Reals, ratio: Range) -> Reals:
    """Heights and widths [..., 2], whole pixels, of boxes with these areas [...] and log-uniform aspect ratios.

    Args:
        areas: square pixels.
        draws: in [0, 1), of the ratios, [...].
        ratio: smallest and largest (width / height).
    """
    aspect = np.exp(uniform_between(draws, *np.log(ratio)))
    return np.rint(np.sqrt(np.stack([areas / aspect, areas * aspect], axis=-1)))


def _sizes(draws: Reals, image_size: tuple[int, int], scale: Range, ratio: Range) -> tuple[Sizes, Mask]:
    """Heights and widths [..., 2] from draws [..., 2], and which of them fit the image [...]."""
    height, width = image_size
    areas = uniform_between(draws[..., 0], *scale) * (height * width)
    sizes = sizes_of(areas, draws[..., 1], ratio).astype(np.int64)
    inside = (sizes > 0) & (sizes <= np.asarray(image_size))
    return sizes, inside[..., 0] & inside[..., 1]


def _retried(
    sizes: Sizes, fits: Mask, draws: Reals, image_size: tuple[int, int], scale: Range, ratio: Range
) -> tuple[Sizes, Mask]:
    """`sizes` with those that do not fit replaced by the first further draw that does, and which fit now."""
    further, further_fit = _sizes(draws[..., : _ATTEMPTS - 1, :], image_size, scale, ratio)
    first = np.argmax(further_fit, axis=-1, keepdims=True)[..., None]
    chosen = np.take_along_axis(further, first, axis=-2)[..., 0, :]
    return np.where(fits[..., None], sizes, chosen), fits | further_fit.any(axis=-1)


def _fallback(image_size: tuple[int, int], ratio: Range) -> tuple[int, int]:
    """The largest height and width of the image whose aspect ratio lies within `ratio`."""
    height, width = image_size
    if width < ratio[0] * height:
        return max(1, round(width / ratio[0])), width
    if width > ratio[1] * height:
        return height, max(1, round(height * ratio[1]))
    return height, width
