"""Re-encodings that are found, and different images that are not taken for one."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.arrays import array_dataset
from latentprint.core.datasets.near_duplicates import NearDuplicate, near_duplicates

REENCODINGS = {"JPEG, quality 95": ("JPEG", 95), "JPEG, quality 75": ("JPEG", 75), "WebP, quality 75": ("WEBP", 75)}


def composites(count: int) -> np.ndarray:
    return DatasetSpec("composites", {"count": count}).open().images(np.arange(count))


def reencoded(image: np.ndarray, kind: str, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


@dataclass(frozen=True)
class Sides:
    """Two groups of images as one data set."""

    first: np.ndarray
    second: np.ndarray

    def pairs(self) -> list[NearDuplicate]:
        pixels = np.concatenate([self.first, self.second])
        ids = np.arange(len(pixels))
        dataset = array_dataset("sides", pixels, {"class": np.zeros(len(pixels), dtype=np.int64)})
        return near_duplicates(dataset, ids[: len(self.first)], ids[len(self.first) :])


@pytest.mark.parametrize(("kind", "quality"), REENCODINGS.values(), ids=REENCODINGS)
def test_re_encodings_are_found_each_with_its_own_original(kind: str, quality: int) -> None:
    originals = composites(300)
    again = np.stack([reencoded(image, kind, quality) for image in originals[::-1]])
    pairs = Sides(originals, again).pairs()
    assert all(pair.first + pair.second == 300 + 299 for pair in pairs)
    assert len(pairs) >= 0.95 * 300
    assert not any(pair.same_pixels for pair in pairs)


def test_a_smaller_copy_of_a_photograph_is_found() -> None:
    smooth = Image.fromarray(composites(1)[0]).resize((224, 224), Image.Resampling.BICUBIC)
    small = smooth.resize((100, 100), Image.Resampling.LANCZOS).resize((224, 224), Image.Resampling.BICUBIC)
    assert Sides(np.asarray(smooth)[None], np.asarray(small)[None]).pairs() == [NearDuplicate(0, 1, False)]


@pytest.mark.parametrize(("name", "count"), [("composites", 3000), ("digits", 1797)])
def test_no_two_different_images_are_taken_for_one(name: str, count: int) -> None:
    """Of 2.25 million pairs of generated images, and of 0.8 million pairs of digits, many of which are much alike."""
    dataset = DatasetSpec(name, {"count": count} if name == "composites" else {}).open()
    assert near_duplicates(dataset, np.arange(0, count, 2), np.arange(1, count, 2)) == []


def test_the_same_pixels_are_told_from_a_re_encoding_and_order_is_kept() -> None:
    originals = composites(4)
    pairs = Sides(originals[:3], np.stack([originals[3], originals[1], reencoded(originals[0], "JPEG", 90)])).pairs()
    assert pairs == [NearDuplicate(0, 5, False), NearDuplicate(1, 4, True)]


def test_plain_colours_are_told_apart_by_their_colour() -> None:
    grey = [np.full((16, 16, 3), level, dtype=np.uint8) for level in (0, 128, 129, 255)]
    assert Sides(np.stack(grey[:2]), np.stack(grey[2:])).pairs() == []
    assert Sides(grey[0][None], grey[0][None]).pairs() == [NearDuplicate(0, 1, True)]


def test_each_image_is_named_once_however_many_are_like_it() -> None:
    blank = np.zeros((2000, 8, 8, 3), dtype=np.uint8)
    assert Sides(blank, blank).pairs() == [NearDuplicate(i, 2000, True) for i in range(2000)]


def test_vectors_have_no_looks() -> None:
    dataset = DatasetSpec("baskets", {"count": 20}).open()
    assert near_duplicates(dataset, np.arange(10), np.arange(10, 20)) == []
