"""What can be told of an image without any encoder: coarse pixels and simple statistics."""

import math

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Features = NDArray[np.float64]

DESCRIPTION = (
    "8x8 pixels; mean, spread and skew of each channel; gradients at two scales; sharpness; "
    "8-pixel block edges; borders; saturated and odd values"
)
_GRID = 8
_IMAGES_AT_ONCE = 256
_TINY = 1e-6


def image_features(images: Images) -> tuple[Features, Features]:
    """Coarse pixels and statistics of uint8 images [B, H, W, 3] (RGB), both in the units of pixels in [0, 1].

    Returns:
        Pixels [B, P] (a grid of at most 8x8 block means, three channels) and statistics [B, S]. An image's features
        depend on no other image.
    """
    blocks = [_features(images[i : i + _IMAGES_AT_ONCE]) for i in range(0, len(images), _IMAGES_AT_ONCE)]
    pixels, statistics = zip(*blocks, strict=True)
    return np.concatenate(pixels), np.concatenate(statistics)


def standardised(features: Features) -> Features:
    """Columns with mean 0 and deviation 1 over all samples (constant ones 0), scaled so that a row has norm about 1.

    Membership plays no part, so that permuted labels see the same features.
    """
    spread = features.std(axis=0)
    varies = spread > _TINY
    centred = features[:, varies] - features[:, varies].mean(axis=0)
    scaled = np.zeros_like(features)
    scaled[:, varies] = centred / spread[varies] / math.sqrt(max(1, int(varies.sum())))
    return scaled


def _features(images: Images) -> tuple[Features, Features]:
    x = images.astype(np.float64) / 255.0
    grey = x.mean(axis=3)
    columns = [_moments(x), _gradients(grey), _gradients(_halved(grey)), _sharpness(grey), _blocks(grey)]
    columns += [_borders(grey), _values(images), _moments(x[..., :2] - x[..., 1:])]
    return _coarse(x).reshape(len(x), -1), np.concatenate(columns, axis=1)


def _coarse(x: Features) -> Features:
    """Block means [B, h, w, C] of images [B, H, W, C] on a grid of at most 8x8."""
    height, width = x.shape[1:3]
    rows = np.unique(np.linspace(0, height, min(_GRID, height), endpoint=False).astype(np.int64))
    columns = np.unique(np.linspace(0, width, min(_GRID, width), endpoint=False).astype(np.int64))
    sums = np.add.reduceat(np.add.reduceat(x, rows, axis=1), columns, axis=2)
    areas = np.diff(rows, append=height)[:, None] * np.diff(columns, append=width)[None, :]
    return np.asarray(sums / areas[None, :, :, None])


def _halved(grey: Features) -> Features:
    height, width = grey.shape[1] // 2 * 2, grey.shape[2] // 2 * 2
    if min(height, width) == 0:
        return grey
    cut = grey[:, :height, :width]
    return np.asarray(cut.reshape(len(cut), height // 2, 2, width // 2, 2).mean(axis=(2, 4)))


def _moments(x: Features) -> Features:
    """Mean, deviation and skew of each channel: [B, 3C]."""
    mean, spread = x.mean(axis=(1, 2)), x.std(axis=(1, 2))
    cubed = ((x - mean[:, None, None]) ** 3).mean(axis=(1, 2))
    return np.concatenate([mean, spread, np.cbrt(cubed)], axis=1)


def _gradients(grey: Features) -> Features:
    """Log mean absolute and log mean squared differences along both axes: [B, 4]."""
    steps = [np.diff(grey, axis=1), np.diff(grey, axis=2)]
    return np.stack([_log_mean(measure(step)) for step in steps for measure in (np.abs, np.square)], axis=1)


def _sharpness(grey: Features) -> Features:
    """Log energy of second differences along both axes and both: [B, 3]."""
    rows, columns = np.diff(grey, 2, axis=1), np.diff(grey, 2, axis=2)
    mixed = np.diff(np.diff(grey, axis=1), axis=2)
    return np.stack([_log_mean(np.abs(step)) for step in (rows, columns, mixed)], axis=1)


def _blocks(grey: Features) -> Features:
    """Excess of differences across 8-pixel block edges, which JPEG leaves: [B, 2]."""
    excess = []
    for axis in (1, 2):
        step = np.abs(np.diff(grey, axis=axis))
        edge = np.arange(step.shape[axis]) % _GRID == _GRID - 1
        across, within = np.compress(edge, step, axis=axis), np.compress(~edge, step, axis=axis)
        excess.append(_log_mean(across) - _log_mean(within))
    return np.stack(excess, axis=1)


def _borders(grey: Features) -> Features:
    """Means of the four borders less the whole mean: [B, 4]."""
    borders = [grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]]
    whole = grey.mean(axis=(1, 2))
    return np.stack([border.mean(axis=1) - whole for border in borders], axis=1)


def _values(images: Images) -> Features:
    """Fractions of black, white and odd pixel values: [B, 3]."""
    flat = images.reshape(len(images), -1)
    return np.stack([(flat == 0).mean(axis=1), (flat == 255).mean(axis=1), (flat % 2).mean(axis=1)], axis=1)


def _log_mean(values: Features) -> Features:
    """Log of the mean over all but the first axis; of nothing, the log of the smallest."""
    flat = values.reshape(len(values), -1)
    mean = flat.mean(axis=1) if flat.shape[1] else np.zeros(len(flat))
    return np.log(mean + _TINY)
