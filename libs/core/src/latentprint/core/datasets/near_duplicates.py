"""The same image on both sides of a split, or a re-encoding of it: what no membership can be inferred from.

A re-encoding is looked for by a perceptual hash (the signs of an image's 63 lowest frequencies, after Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions") and confirmed on the image itself, as an 8x8 grey
one. Both thresholds are chosen for few false alarms; docs/datasets.md says what was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentprint.core.datasets.base import Dataset, Ids
from latentprint.core.samples import Images, is_vector

_GREY, _LOW, _SMALL = 32, 8, 8  # sides: of the grey image, of its lowest frequencies, of the one that confirms
_MOST_BITS = 6  # of 63 that may differ
_MOST_DISTANCE = 0.1  # root mean square difference of the small images, in standard deviations of one
_LEAST_DEVIATION = 1.0  # grey levels; below it an image is of one colour
_ROWS = 1024


@dataclass(frozen=True)
class NearDuplicate:
    """Two samples that show one image: their ids, and whether their pixels are the same (else one is a re-encoding)."""

    first: int
    second: int
    same_pixels: bool


def near_duplicates(dataset: Dataset, first: Ids, second: Ids) -> list[NearDuplicate]:
    """Samples of `first` (int64 [A]) that show an image of `second` (int64 [B]) too, each with the closest of those.

    Of vectors there are none.
    """
    if is_vector(dataset.sample_shape):
        return []
    ours, theirs = (_Looks.of(dataset, ids) for ids in (first, second))
    return list(_pairs(ours, theirs))


@dataclass(frozen=True)
class _Looks:
    """What is compared of each of N images."""

    ids: Ids
    pixels: NDArray[np.int64]  # [N], a hash of them
    hash: NDArray[np.uint64]
    small: NDArray[np.float32]  # [N, 64]

    @classmethod
    def of(cls, dataset: Dataset, ids: Ids) -> "_Looks":
        """Read `ids` a chunk at a time."""
        pixels: list[int] = []
        greys = []
        for start in range(0, len(ids), _ROWS):
            images = dataset.images(ids[start : start + _ROWS])
            pixels += [hash(image.tobytes()) for image in images]
            greys.append(np.stack([_grey(image) for image in images]))
        grey = np.concatenate(greys) if greys else np.zeros((0, _GREY, _GREY), dtype=np.float32)
        step = _GREY // _SMALL
        small = grey.reshape(-1, _SMALL, step, _SMALL, step).mean(axis=(2, 4)).reshape(-1, _SMALL * _SMALL)
        return cls(ids, np.array(pixels, dtype=np.int64), _perceptual_hash(grey), small)


def _pairs(ours: _Looks, theirs: _Looks) -> Iterator[NearDuplicate]:
    for start in range(0, len(ours.ids), _ROWS):
        alike = np.bitwise_count(ours.hash[start : start + _ROWS, None] ^ theirs.hash[None]) <= _MOST_BITS
        for row in np.flatnonzero(alike.any(axis=1)):
            one, candidates = start + int(row), np.flatnonzero(alike[row])
            same = candidates[theirs.pixels[candidates] == ours.pixels[one]]
            distance = _distances(ours.small[one], theirs.small[candidates])
            if len(same) or distance.min() < _MOST_DISTANCE:
                other = int(same[0] if len(same) else candidates[distance.argmin()])
                yield NearDuplicate(int(ours.ids[one]), int(theirs.ids[other]), bool(len(same)))


def _distances(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of an image [64] to others [C, 64], in standard deviations of the one."""
    difference = np.sqrt(np.mean((others - one) ** 2, axis=1))
    return np.asarray(difference / max(one.std(), _LEAST_DEVIATION))


def _grey(image: Images) -> NDArray[np.float32]:
    """One image as float32 [32, 32], 0 to 255."""
    grey = Image.fromarray(image).convert("L").resize((_GREY, _GREY), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32)


def _perceptual_hash(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """63 bits of each of N images [N, 32, 32]: which of the lowest frequencies lie above their median."""
    places = np.arange(_GREY) + 0.5
    cosines = np.cos(np.pi / _GREY * np.arange(_LOW)[:, None] * places).astype(np.float32)
    cosines[0] /= np.sqrt(2)
    low = (cosines @ grey @ cosines.T).reshape(len(grey), -1)[:, 1:]  # [N, 63], without the mean
    above = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(np.pad(above, ((0, 0), (0, 1))), axis=1).view(np.uint64)[:, 0]
