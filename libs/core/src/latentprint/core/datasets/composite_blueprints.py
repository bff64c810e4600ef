"""What a class of composites looks like: the parts that its objects are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.views.streams import uniforms

Reals = NDArray[np.float64]

PARTS = 8  # two limbs, two more limbs, head, body, two marks on the body; painted in this order
COLOURS = 3
_PAIRS = ((0, 1), (2, 3), (6, 7))
_HEAD, _BODY = 4, 5


@dataclass(frozen=True)
class Blueprints:
    """Parts and colours of every class, in the object's own frame (its body about 1 wide, y downwards).

    Attributes:
        centre: float64 [classes, PARTS, 2], x and y.
        half: float64 [classes, PARTS, 2], half width and half height.
        angle: float64 [classes, PARTS], radians.
        roundness: float64 [classes, PARTS], 1 an ellipse, 0 a polygon.
        corner: float64 [classes, PARTS], of the polygon: 1 a diamond, 0.5 a box.
        taper: float64 [classes, PARTS], narrowing from top to bottom, -0.6 .. 0.6.
        colour: int64 [classes, PARTS], which of the class's colours.
        hue: float64 [classes, COLOURS], in [0, 1).
        value: float64 [classes, COLOURS], brightness in [0, 1].
    """

    centre: Reals
    half: Reals
    angle: Reals
    roundness: Reals
    corner: Reals
    taper: Reals
    colour: NDArray[np.int64]
    hue: Reals
    value: Reals


def draw_blueprints(classes: int, seed: int) -> Blueprints:
    """One blueprint for each class, from a stream of its own: class 3 is the same whatever the number of classes."""
    draws = uniforms(np.arange(classes), seed, (PARTS + COLOURS, 8), purpose="composites/class")
    part = draws[:, :PARTS]  # [C, PARTS, 8]
    for left, right in _PAIRS:
        part[:, right] = part[:, left]
    lengths = _between(part[..., 0:2], 0.14, 0.34)
    lengths[:, _BODY] = _between(part[:, _BODY, 0:2], 0.3, 0.58)
    lengths[:, 6:] *= 0.5
    colour = np.floor(part[..., 7] * COLOURS).astype(np.int64)
    colour[:, _BODY] = 0
    colour[:, 6:] = 1 + colour[:, 6:] % 2
    swatch = draws[:, PARTS:]  # [C, COLOURS, 8]
    return Blueprints(
        centre=_centres(part, lengths[:, _BODY]),
        half=lengths,
        angle=_mirrored(_between(part[..., 2], -0.7, 0.7)),
        roundness=np.where(part[..., 3] < 0.5, 1.0, _between(part[..., 4], 0.0, 0.4)),
        corner=np.where(part[..., 5] < 0.3, 0.95, 0.55),
        taper=_between(part[..., 6], -0.6, 0.6),
        colour=colour,
        hue=swatch[..., 0],
        value=_between(swatch[..., 1], 0.45, 0.95),
    )


def _centres(part: Reals, body: Reals) -> Reals:
    """Where parts sit: limbs around the body's outline, the head at its top, marks on it."""
    centres = np.zeros((*part.shape[:2], 2))
    for (left, right), low, high in zip(_PAIRS, (0.35, -0.9, -0.4), (1.0, 0.3, 0.4), strict=True):
        reach = 0.45 if left == _PAIRS[-1][0] else 1.0
        height = _between(part[:, left, 4], low, high)
        across = reach * np.sqrt(1.05 - np.minimum(height**2, 1.0)) * _between(part[:, left, 3], 0.8, 1.1)
        centres[:, left] = np.stack([-across * body[:, 0], height * body[:, 1]], axis=-1)
        centres[:, right] = centres[:, left] * np.array([-1, 1])
    centres[:, _HEAD, 0] = _between(part[:, _HEAD, 4], -0.6, 0.6) * body[:, 0]
    centres[:, _HEAD, 1] = -body[:, 1] * _between(part[:, _HEAD, 5], 0.9, 1.2)
    return centres


def _mirrored(angles: Reals) -> Reals:
    angles[:, [right for _, right in _PAIRS]] *= -1
    return angles


def _between(draws: Reals, low: float, high: float) -> Reals:
    return low + (high - low) * draws
