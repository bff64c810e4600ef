"""`identities`: generated pictures of people, several of each, as cameras meet someone again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import ArrayDataset, array_dataset
from latentprint.core.datasets.attributes import USER
from latentprint.core.datasets.base import DATASETS, Dataset, Images
from latentprint.core.datasets.checks import check_at_least, check_share, check_side
from latentprint.core.datasets.painting import Backgrounds, paint, rgb
from latentprint.core.datasets.people import MOST_LOOKS, POSE, SENSITIVE, draw_people, posed
from latentprint.core.errors import UsageError
from latentprint.core.views.streams import uniforms

_CHUNK = 128  # images painted at once: their fields of pixels then stay in the cache
_KEPT = 2  # data sets, of the last ones that were opened
_COARSE, _FINE = 3, 7  # points a side of the background's lattices
_MOST_IMAGES = 1 << 20  # of a person: what tells the streams of their images apart


@dataclass(frozen=True)
class IdentitiesOptions:
    """Options of `identities`.

    Attributes:
        users: number of people.
        images: of each person; image k of person u has the id `u * images + k` and is the same whatever the numbers.
        height, width: pixels.
        classes: kinds of clothing; each person wears one.
        looks: appearances of each person, as with a coat and without: what they wear above the legs is another one.
            Their images take turns. Who was trained on is recognised in all of them, others are not.
        variation: how far a person's images differ in pose, distance and light, as a multiple of the usual.
        visibility: of the sensitive attribute: from 0, where no pixel tells it, to 1.
        correlation: share of the people, 0 to 1, whose sensitive attribute follows from their class; of others it is
            drawn.
        seed: of everything.
    """

    users: int = 300
    images: int = 24
    height: int = 128
    width: int = 64
    classes: int = 4
    looks: int = 2
    variation: float = 1.0
    visibility: float = 0.5
    correlation: float = 0.0
    seed: int = 0


@DATASETS.register(
    "identities",
    summary="generated people, several images of each, 128x64; labels: class, user, sensitive (3)",
    source="generated here from a seed",
    needs={
        "options": "users (300), images (24), height (128), width (64), classes (4), looks (2), variation (1), "
        "visibility (0.5), correlation (0), seed (0)",
        "files": "none",
    },
)
def identities(options: Mapping[str, Any]) -> Dataset:
    """Open `identities`: the first person's images, then the second's, and so on.

    Labels: `class`, `user`, and the attribute `sensitive` (nothing, a belt, a badge); class and attribute are a
    person's, the same in all of their images.

    Raises:
        UsageError: a wrong option.
    """
    given = from_mapping(IdentitiesOptions, options, "data set 'identities'")
    _check(given)
    return _painted(given)


@lru_cache(maxsize=_KEPT)
def _painted(given: IdentitiesOptions) -> ArrayDataset:
    """All images and labels, painted once a process: whoever trains, plans, asks and judges opens them again."""
    labels = identity_labels(given)
    count = given.users * given.images
    pixels = np.empty((count, given.height, given.width, 3), dtype=np.uint8)
    for start in range(0, count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        shots = np.arange(count)[rows] % given.images
        pixels[rows] = _images({name: values[rows] for name, values in labels.items()}, shots, given)
    return array_dataset("identities", pixels, labels, {"sensitive": SENSITIVE})


def identity_labels(options: IdentitiesOptions) -> dict[str, NDArray[np.int64]]:
    """`class`, `user` and `sensitive` of each image, int64 [users * images], in order of ids."""
    users = np.arange(options.users)
    draws = uniforms(users, options.seed, (3,), purpose="identities/labels")
    kind = np.floor(draws[:, 0] * options.classes).astype(np.int64)
    drawn = np.floor(draws[:, 1] * len(SENSITIVE)).astype(np.int64)
    sensitive = np.where(draws[:, 2] < options.correlation, kind % len(SENSITIVE), drawn)
    of_users = {"class": kind, USER: users, "sensitive": sensitive}
    return {name: np.repeat(values, options.images) for name, values in of_users.items()}


def _check(options: IdentitiesOptions) -> None:
    for name in ("height", "width"):
        check_side(getattr(options, name), "identities", name)
    for name in ("users", "images", "classes"):
        check_at_least(getattr(options, name), 1, name, "identities")
    if options.images > _MOST_IMAGES:
        raise UsageError(f"data set 'identities': images must be at most {_MOST_IMAGES}, not {options.images}.")
    if not 1 <= options.looks <= MOST_LOOKS:
        raise UsageError(f"data set 'identities': looks must lie in 1 .. {MOST_LOOKS}, not {options.looks}.")
    for name in ("visibility", "correlation"):
        check_share(getattr(options, name), name, "identities")
    for name in ("variation", "seed"):
        if getattr(options, name) < 0:
            raise UsageError(f"data set 'identities': {name} must not be negative, and {getattr(options, name)} is.")


def _images(labels: Mapping[str, NDArray[np.int64]], shots: NDArray[np.int64], options: IdentitiesOptions) -> Images:
    """Image `shots` (int64 [B]) of each person of `labels`, uint8 [B, height, width, 3]."""
    seed, streams = options.seed, labels[USER] * _MOST_IMAGES + shots
    pose = uniforms(streams, seed, (POSE,), purpose="identities/pose")
    swatch = uniforms(streams, seed, (2, 3), purpose="identities/colours")
    wave = uniforms(streams, seed, (1, 4), purpose="identities/wave")
    lattices = uniforms(streams, seed, (_COARSE**2 + _FINE**2,), purpose="identities/background").astype(np.float32)
    grain = uniforms(streams, seed, (options.height, options.width), purpose="identities/grain")
    colours = rgb(swatch[..., 0], 0.5 * swatch[..., 1], 0.15 + 0.75 * swatch[..., 2])
    backgrounds = Backgrounds(
        colours=colours.astype(np.float32),
        wave=((wave - 0.5) * np.array([4.0, 4.0, 1.0, 0.3])).astype(np.float32),
        coarse=lattices[:, : _COARSE**2].reshape(-1, _COARSE, _COARSE),
        fine=lattices[:, _COARSE**2 :].reshape(-1, _FINE, _FINE),
    )
    people = draw_people(labels, shots % options.looks, seed, options.visibility)
    return paint(posed(people, pose, options.variation), backgrounds, ((grain - 0.5) * 0.08).astype(np.float32))
