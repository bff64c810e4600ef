"""Painting of generated images: textured parts over a textured background, many images at once.

Fields of pixels pass through additions, multiplications, square roots and roundings alone, which IEEE arithmetic
fixes to the bit, so that the same seed gives the same images on every machine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """Parts to paint, in painting order, in the frame of the image: y from -1 to 1 downwards, x in the same unit, 0 in
    the middle.

    Attributes:
        centre: float32 [B, P, 2], x and y.
        half: float32 [B, P, 2], half width and half height; a part of size 0 is not painted.
        turn: float32 [B, P, 2], cosine and sine of the part's rotation.
        roundness, corner, taper: float32 [B, P], as in `Blueprints`.
        colour: float32 [B, P, 3], RGB in [0, 1].
        waves: float32 [B, P, 2, 4], two plane waves: cycles along x and y, phase, contrast.
    """

    centre: Field
    half: Field
    turn: Field
    roundness: Field
    corner: Field
    taper: Field
    colour: Field
    waves: Field


@dataclass(frozen=True)
class Backgrounds:
    """Backgrounds: a wave and two lattices of random numbers, smoothly interpolated, mixing two colours.

    Attributes:
        colours: float32 [B, 2, 3], RGB in [0, 1].
        wave: float32 [B, 1, 4], as in `Parts`.
        coarse, fine: float32 [B, n, n], values in [0, 1].
    """

    colours: Field
    wave: Field
    coarse: Field
    fine: Field


def rgb(hue: Reals, saturation: Reals, value: Reals) -> Reals:
    """HSV (hue in turns, any real number) to RGB in [0, 1], channels last."""
    sector = (hue[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    fade = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return np.asarray(value[..., None] * (1 - saturation[..., None] * fade))


def paint(parts: Parts, backgrounds: Backgrounds, grain: Field) -> NDArray[np.uint8]:
    """Paint `parts` over `backgrounds`, add `grain` (float32 [B, H, W]) to all: uint8 [B, H, W, 3]."""
    height, width = grain.shape[1:]
    x, y = _axis(width, height)[None, None, :], _axis(height, height)[None, :, None]
    canvas = _background(backgrounds, x, y)  # three fields [B, H, W]
    for p in range(parts.centre.shape[1]):
        cover = _coverage(parts, p, x, y)
        light = _waves(parts.waves[:, p], x, y) + (np.float32(1.05) - np.float32(0.18) * (x + y))
        colours = (_over_pixels(parts.colour[:, p, channel]) * light for channel in range(3))
        canvas = [field + cover * (colour - field) for field, colour in zip(canvas, colours, strict=True)]
    levels = [np.clip((field + grain) * np.float32(255) + np.float32(0.5), 0, 255) for field in canvas]
    return np.stack(levels, axis=-1).astype(np.uint8)


def _axis(pixels: int, height: int) -> Field:
    """Where the middles of `pixels` pixels in a row lie, in half heights of the image, around 0."""
    middles = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / height)
    return np.asarray(middles - np.float32(pixels / height))


def _coverage(parts: Parts, p: int, x: Field, y: Field) -> Field:
    """How much of each pixel part `p` covers, in [0, 1]: an ellipse blended with a tapered polygon, smooth edges."""
    dx, dy = x - _over_pixels(parts.centre[:, p, 0]), y - _over_pixels(parts.centre[:, p, 1])
    cosine, sine = _over_pixels(parts.turn[:, p, 0]), _over_pixels(parts.turn[:, p, 1])
    half = np.maximum(parts.half[:, p], np.float32(1e-6))
    v = (dy * cosine - dx * sine) / _over_pixels(half[:, 1])
    narrowing = np.float32(1) + _over_pixels(parts.taper[:, p]) * np.clip(v, -1, 1)
    u = (dx * cosine + dy * sine) / (_over_pixels(half[:, 0]) * narrowing)
    across, along = np.abs(u), np.abs(v)
    ellipse = np.sqrt(u * u + v * v)
    polygon = np.maximum(np.maximum(across, along), _over_pixels(parts.corner[:, p]) * (across + along))
    distance = polygon + _over_pixels(parts.roundness[:, p]) * (ellipse - polygon)
    pixels = np.minimum(half[:, 0], half[:, 1]) * np.float32(y.shape[1] / 2)  # half the smaller width, pixels
    present = (parts.half[:, p, 0] > 0).astype(np.float32)
    cover = np.clip((np.float32(1) - distance) * _over_pixels(pixels) + np.float32(0.5), 0, 1)
    return np.asarray(cover * _over_pixels(present))


def _background(backgrounds: Backgrounds, x: Field, y: Field) -> list[Field]:
    """The background's red, green and blue, each [B, H, W]."""
    size = y.shape[1], x.shape[2]
    coarse, fine = _interpolated(backgrounds.coarse, size), _interpolated(backgrounds.fine, size)
    waves = _waves(backgrounds.wave, x, y)
    mix: Field = np.clip(np.float32(0.6) * coarse + np.float32(0.4) * fine + waves, 0, 1)
    first, second = backgrounds.colours[:, 0], backgrounds.colours[:, 1]
    return [_over_pixels(first[:, c]) + mix * _over_pixels(second[:, c] - first[:, c]) for c in range(3)]


def _waves(waves: Field, x: Field, y: Field) -> Field:
    """Sum of plane waves, float32 [B, W, 4] (cycles along x and y, phase, contrast), each sine-like: [B, H, W]."""
    total = np.zeros((len(waves), y.shape[1], x.shape[2]), dtype=np.float32)
    for w in range(waves.shape[1]):
        along_x, along_y, phase, contrast = (_over_pixels(waves[:, w, i]) for i in range(4))
        cycles = along_x * x + (along_y * y + phase)
        saw = np.float32(2) * (cycles - np.floor(cycles)) - np.float32(1)
        total += (np.float32(4) * contrast) * (saw * (np.float32(1) - np.abs(saw)))  # a parabola for each half wave
    return total


def _interpolated(lattice: Field, size: tuple[int, int]) -> Field:
    """`lattice` [B, n, n] at height x width points, bilinear with a smooth step: [B, height, width]."""
    (top, down), (left, across) = (_steps(lattice.shape[-1] - 1, pixels) for pixels in size)
    rows = lattice[:, top] + down[:, None] * (lattice[:, top + 1] - lattice[:, top])  # [B, height, n]
    return np.asarray(rows[:, :, left] + across * (rows[:, :, left + 1] - rows[:, :, left]))


def _steps(cells: int, pixels: int) -> tuple[NDArray[np.int64], Field]:
    """The cell that each pixel of a row lies in, and how far towards the next one, smoothly."""
    place = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / pixels)
    low = np.minimum(place.astype(np.int64), cells - 1)
    step = place - low.astype(np.float32)
    return low, np.asarray(step * step * (np.float32(3) - np.float32(2) * step))


def _over_pixels(values: Field) -> Field:
    return values[:, None, None]
