"""`tiny_imagenet`, from the official archive."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import SPLITS, Split, find_source, read_text
from latentprint.core.errors import DataError
from latentprint.core.samples import Size

_FOLDER = "tiny-imagenet-200"
_AGAIN = "fetch or extract the official archive again"


@dataclass(frozen=True)
class TinyImageNetOptions(DecodedOptions):
    """Options of `tiny_imagenet`.

    Attributes:
        path: tiny-imagenet-200.zip, its extracted folder, or a folder that holds either.
        side: see `DecodedOptions`; 64 leaves the images as they are.
        fit: see `DecodedOptions`; the images are square, so both are the same.
        cache: see `DecodedOptions`.
        split: "train", "val", or "all", training images first.
    """

    side: Size = 64
    split: Split = "all"


@DATASETS.register(
    "tiny_imagenet",
    summary="110,000 photographs of 200 kinds, 64x64; ids 0-99,999 training, then validation; labels: class, split",
    source="Le & Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    needs={
        "options": "path, side (64), fit (crop), split (all), cache",
        "files": "tiny-imagenet-200.zip or its extracted folder",
    },
)
def tiny_imagenet(options: Mapping[str, Any]) -> Dataset:
    """Open `tiny_imagenet`: images sorted by path within each split; class i is the i-th of the sorted WordNet ids.

    Labels: `class` (200) and `split` (0 training, 1 validation). The official test images have no labels and are left
    out.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(TinyImageNetOptions, options, "data set 'tiny_imagenet'")
    place = find_source(given.path, (f"{_FOLDER}.zip", _FOLDER), "Tiny-ImageNet", inside="wnids.txt")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with opened(place, _FOLDER) as members:
            yield _listing(members, SPLITS[given.split])

    return open_decoded("tiny_imagenet", given, [place], tiny_imagenet, listed)


def _listing(members: Members, splits: Sequence[str]) -> Listing:
    wnids = sorted(read_text(members, "wnids.txt").split())
    index = {wnid: i for i, wnid in enumerate(wnids)}
    names = members.names()
    rows = []
    for split in splits:
        found = _training(members, names, wnids) if split == "train" else _validation(members, names)
        rows += [(name, wnid, split) for name, wnid in found]
    for name, wnid, _ in rows:
        if wnid not in index:
            raise DataError(f"{members.place}: {name} is of the kind {wnid}, which wnids.txt lacks: {_AGAIN}.")
    labels = {
        "class": np.array([index[wnid] for _, wnid, _ in rows], dtype=np.int64),
        "split": np.array([int(split == "val") for *_, split in rows], dtype=np.int64),
    }
    return Listing([(members, name) for name, *_ in rows], labels)


def _training(members: Members, names: Sequence[str], wnids: Sequence[str]) -> list[tuple[str, str]]:
    """Name and WordNet id of each training image; every one that the lists of boxes name must be there."""
    images = [name for name in names if name.startswith("train/") and "/images/" in name]
    expected = set()
    for wnid in wnids:
        boxes = read_text(members, f"train/{wnid}/{wnid}_boxes.txt").splitlines()
        expected |= {f"train/{wnid}/images/{line.split()[0]}" for line in boxes if line.strip()}
    _compare(members.place, expected, images, "the lists of boxes")
    return [(name, name.split("/")[1]) for name in images]


def _validation(members: Members, names: Sequence[str]) -> list[tuple[str, str]]:
    lines = read_text(members, "val/val_annotations.txt").splitlines()
    kinds = {f"val/images/{line.split()[0]}": line.split()[1] for line in lines if len(line.split()) > 1}
    images = [name for name in names if name.startswith("val/images/")]
    _compare(members.place, set(kinds), images, "val/val_annotations.txt")
    return [(name, kinds[name]) for name in images]


def _compare(place: Path, expected: set[str], found: Sequence[str], where: str) -> None:
    """Raise `DataError` unless the images are exactly those listed: a missing one would shift all sample ids."""
    if missing := sorted(expected.difference(found)):
        raise DataError(f"{place} lacks {missing[0]}, which {where} names: {_AGAIN}.")
    if foreign := sorted(set(found) - expected):
        raise DataError(f"{place} holds {foreign[0]}, which {where} does not name: {_AGAIN}.")
    if not found:
        raise DataError(f"{place} holds no images of this split: {_AGAIN}.")
