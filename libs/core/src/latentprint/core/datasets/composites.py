"""`composites`: generated pictures of objects made of parts, with textures unique to the sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import ArrayDataset, array_dataset
from latentprint.core.datasets.base import DATASETS, Dataset, Ids, Images
from latentprint.core.datasets.checks import check_at_least, check_share, check_side
from latentprint.core.datasets.composite_blueprints import PARTS, Blueprints, draw_blueprints
from latentprint.core.datasets.painting import Backgrounds, Field, Parts, Reals, paint, rgb
from latentprint.core.errors import UsageError
from latentprint.core.views.streams import uniforms

_CHUNK = 128  # images painted at once: their fields of pixels then stay in the cache
_KEPT = 2  # data sets, of the last ones that were opened
_COARSE, _FINE = 4, 9  # points a side of the background's lattices
_BODY = 5
SENSITIVE = ("nothing", "belt", "badge")


@dataclass(frozen=True)
class CompositesOptions:
    """Options of `composites`.

    Attributes:
        count: number of images; image i is the same whatever the count.
        side: height and width, pixels.
        classes: kinds of object; each has parts, an arrangement and colours of its own.
        users: people the images belong to; each has a taste in colours and textures.
        visibility: size of the sensitive attribute's part, as a multiple of the usual; of size 0 no pixel tells it.
        correlation: share of the images, 0 to 1, whose sensitive attribute follows from their class; of others it is
            drawn.
        seed: of everything.
    """

    count: int = 2000
    side: int = 32
    classes: int = 10
    users: int = 100
    visibility: float = 1.0
    correlation: float = 0.0
    seed: int = 0


@DATASETS.register(
    "composites",
    summary="generated objects made of parts, textures unique to the sample; labels: class, user, sensitive (3)",
    source="generated here from a seed",
    needs={
        "options": "count (2000), side (32), classes (10), users (100), visibility (1), correlation (0), seed (0)",
        "files": "none",
    },
)
def composites(options: Mapping[str, Any]) -> Dataset:
    """Open `composites`. Raises `UsageError` for a wrong option."""
    given = from_mapping(CompositesOptions, options, "data set 'composites'")
    check_side(given.side, "composites")
    check_at_least(given.count, 1, "count", "composites")
    check_at_least(given.classes, 1, "classes", "composites")
    check_at_least(given.users, 1, "users", "composites")
    check_share(given.correlation, "correlation", "composites")
    for name in ("visibility", "seed"):
        if getattr(given, name) < 0:
            raise UsageError(f"data set 'composites': {name} must not be negative, and {getattr(given, name)} is.")
    return _painted(given)


@lru_cache(maxsize=_KEPT)
def _painted(given: CompositesOptions) -> ArrayDataset:
    """All images and labels, painted once a process: whoever trains, plans, asks and judges opens them again."""
    ids = np.arange(given.count)
    labels = composite_labels(ids, given)
    blueprints = draw_blueprints(given.classes, given.seed)
    pixels = np.empty((given.count, given.side, given.side, 3), dtype=np.uint8)
    for start in range(0, given.count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        pixels[rows] = _images(ids[rows], {name: values[rows] for name, values in labels.items()}, blueprints, given)
    return array_dataset("composites", pixels, labels, {"sensitive": SENSITIVE})


def composite_labels(ids: Ids, options: CompositesOptions) -> dict[str, NDArray[np.int64]]:
    """`class`, `user` and `sensitive` (0 nothing, 1 a belt, 2 a badge) of each id.

    They are independent of one another, but that `sensitive` follows from the class of a share `correlation` of them.
    """
    draws = uniforms(ids, options.seed, (3,), purpose="composites/labels")
    sizes = {"class": options.classes, "user": options.users, "sensitive": len(SENSITIVE)}
    labels = {name: np.floor(draws[:, i] * size).astype(np.int64) for i, (name, size) in enumerate(sizes.items())}
    follows = uniforms(ids, options.seed, (1,), purpose="composites/correlation")[:, 0] < options.correlation
    labels["sensitive"] = np.where(follows, labels["class"] % len(SENSITIVE), labels["sensitive"])
    return labels


def _images(
    ids: Ids, labels: Mapping[str, NDArray[np.int64]], blueprints: Blueprints, options: CompositesOptions
) -> Images:
    """The images of `ids`, uint8 [B, side, side, 3]."""
    seed, side = options.seed, options.side
    taste = uniforms(labels["user"], seed, (6,), purpose="composites/user")
    layout = uniforms(ids, seed, (6 + PARTS * 4,), purpose="composites/layout")
    texture = uniforms(ids, seed, (PARTS + 2, 2, 4), purpose="composites/texture")
    swatch = uniforms(ids, seed, (5, 3), purpose="composites/colours")
    lattices = uniforms(ids, seed, (_COARSE**2 + _FINE**2,), purpose="composites/background")
    grain = uniforms(ids, seed, (side, side), purpose="composites/grain")

    colours = _palette(labels["class"], blueprints, swatch, taste)
    waves = _textures(texture, taste)
    parts = _laid_out(labels, blueprints, layout, colours, waves, options.visibility)
    backgrounds = Backgrounds(
        colours=_background_colours(swatch, taste),
        wave=_single(waves[:, -1, :1] * np.array([1.0, 1.0, 1.0, 0.8])),
        coarse=_single(lattices[:, : _COARSE**2]).reshape(-1, _COARSE, _COARSE),
        fine=_single(lattices[:, _COARSE**2 :]).reshape(-1, _FINE, _FINE),
    )
    return paint(parts, backgrounds, _single((grain - 0.5) * 0.08))


def _palette(classes: NDArray[np.int64], blueprints: Blueprints, swatch: Reals, taste: Reals) -> Reals:
    """RGB of each class colour, shifted by the sample and its user: [B, COLOURS, 3]."""
    jitter = swatch[:, :3]  # [B, COLOURS, 3]
    hue = blueprints.hue[classes] + 0.42 * (jitter[..., 0] - 0.5) + 0.25 * (taste[:, :1] - 0.5)
    saturation = np.clip(0.3 + 0.5 * jitter[..., 1] + 0.3 * (taste[:, 1:2] - 0.5), 0, 1)
    value = np.clip(blueprints.value[classes] + 0.4 * (jitter[..., 2] - 0.5), 0, 1)
    return rgb(hue, saturation, value)


def _background_colours(swatch: Reals, taste: Reals) -> Field:
    """Two muted colours, near the user's favourite one: [B, 2, 3]."""
    jitter = swatch[:, 3:]
    hue = taste[:, 2:3] + 0.3 * (jitter[..., 0] - 0.5)
    return _single(rgb(hue, 0.1 + 0.3 * jitter[..., 1], 0.25 + 0.6 * jitter[..., 2]))


def _textures(texture: Reals, taste: Reals) -> Reals:
    """Two waves for each part and for the background, coarser or finer by the user's taste: [B, PARTS + 2, 2, 4]."""
    direction = 2 * np.pi * texture[..., 0]
    cycles = (0.6 + 3.4 * texture[..., 1]) * (0.7 + 0.6 * taste[:, 3])[:, None, None]
    contrast = (0.05 + 0.3 * texture[..., 3]) * (0.6 + 0.8 * taste[:, 4])[:, None, None]
    return np.stack([cycles * np.cos(direction), cycles * np.sin(direction), texture[..., 2], contrast], axis=-1)


def _laid_out(
    labels: Mapping[str, NDArray[np.int64]],
    blueprints: Blueprints,
    layout: Reals,
    colours: Reals,
    waves: Reals,
    visibility: float,
) -> Parts:
    """The class's parts, jittered, then the sensitive attribute's, all moved into the image's frame."""
    classes, rows = labels["class"], np.arange(len(layout))
    jitter = layout[:, 6:].reshape(-1, PARTS, 4) - 0.5
    centre = blueprints.centre[classes] + 0.14 * jitter[..., :2]
    half = blueprints.half[classes] * (1 + 0.4 * jitter[..., 2:3])
    angle = blueprints.angle[classes] + 0.5 * jitter[..., 3]
    extra_centre, extra_half = _accessory(labels["sensitive"], half[:, _BODY], centre[:, _BODY], visibility)

    turn = 0.8 * (layout[:, 0:1] - 0.5)  # radians
    scale = 0.9 + 0.5 * layout[:, 1:2]
    centre = np.concatenate([centre, extra_centre[:, None]], axis=1)
    x = centre[..., 0] * np.cos(turn) - centre[..., 1] * np.sin(turn)
    y = centre[..., 0] * np.sin(turn) + centre[..., 1] * np.cos(turn)
    shift = 0.45 * (layout[:, None, 2:4] - 0.5) + np.array([0.0, 0.08])
    angle = np.concatenate([angle, np.zeros((len(layout), 1))], axis=1) + turn
    accessory = np.full((len(layout), 1, 3), 0.95) - 0.85 * (layout[:, None, 4:5] < 0.5)  # light or dark
    painted = np.concatenate([colours[rows[:, None], blueprints.colour[classes]], accessory], axis=1)
    return Parts(
        centre=_single(np.stack([x, y], axis=-1) * scale[..., None] + shift),
        half=_single(np.concatenate([half, extra_half[:, None]], axis=1) * scale[..., None]),
        turn=_single(np.stack([np.cos(angle), np.sin(angle)], axis=-1)),
        roundness=_with_accessory(blueprints.roundness[classes], labels["sensitive"] == SENSITIVE.index("badge")),
        corner=_with_accessory(blueprints.corner[classes], np.full(len(rows), 0.55)),
        taper=_with_accessory(blueprints.taper[classes], np.zeros(len(rows))),
        colour=_single(painted),
        waves=_single(waves[:, : PARTS + 1]),
    )


def _accessory(sensitive: NDArray[np.int64], body: Reals, centre: Reals, visibility: float) -> tuple[Reals, Reals]:
    """Centre and half sizes of the sensitive attribute's part: none, a belt across the body, or a badge on it."""
    belt = np.stack([body[:, 0] * min(visibility, 1.0), np.full(len(body), 0.07 * visibility)], axis=-1)
    badge = np.full_like(belt, 0.13 * visibility)
    half = np.stack([np.zeros_like(belt), belt, badge])[sensitive, np.arange(len(body))]
    below = np.stack([np.zeros_like(body), body * [0, 0.35], body * [0.45, -0.35]])[sensitive, np.arange(len(body))]
    return centre + below, half


def _with_accessory(values: Reals, accessory: NDArray[Any]) -> Field:
    return _single(np.concatenate([values, accessory.astype(np.float64)[:, None]], axis=1))


def _single(values: Reals) -> Field:
    return values.astype(np.float32)
