"""`imagenet`: ImageNet-1K (ILSVRC 2012), from the official archives."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets import imagenet_devkit
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.imagenet_devkit import Devkit, read_devkit
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import SPLITS, Split, find_source
from latentprint.core.errors import DataError

_NAMES = {split: (f"ILSVRC2012_img_{split}.tar", split, f"ILSVRC2012_img_{split}") for split in SPLITS["all"]}
_DEVKIT = (f"{imagenet_devkit.FOLDER}.tar.gz", imagenet_devkit.FOLDER)
Row = tuple[Members, str, str]  # members, name, WordNet id


@dataclass(frozen=True)
class ImageNetOptions(DecodedOptions):
    """Options of `imagenet`.

    Attributes:
        path: the folder that holds ILSVRC2012_img_train.tar or train/, ILSVRC2012_img_val.tar or val/ and, for the
            validation labels, ILSVRC2012_devkit_t12 (.tar.gz or extracted).
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        split: "train", "val", or "all", training images first.
    """

    split: Split = "all"


@DATASETS.register(
    "imagenet",
    summary="ImageNet-1K, 1,281,167 training and 50,000 validation photographs; labels: class (1,000), split",
    source="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
    needs={
        "options": "path, side (224), fit (crop), split (all), cache",
        "files": "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz, or their folders",
    },
)
def imagenet(options: Mapping[str, Any]) -> Dataset:
    """Open `imagenet`: training images sorted by kind and name, validation images by number.

    Labels: `class`, the index of the WordNet id among all of them, sorted, and `split` (0 training, 1 validation).

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(ImageNetOptions, options, "data set 'imagenet'")
    splits = SPLITS[given.split]
    places = {split: find_source(given.path, _NAMES[split], f"ImageNet's split {split}") for split in splits}
    kit = find_source(given.path, _DEVKIT, "ImageNet's development kit") if "val" in splits else None
    sources = [*places.values(), *([kit] if kit else [])]

    @contextmanager
    def listed() -> Iterator[Listing]:
        with ExitStack() as stack:
            images = {split: stack.enter_context(opened(place)) for split, place in places.items()}
            yield _listing(images, read_devkit(kit) if kit else None)

    return open_decoded("imagenet", given, sources, imagenet, listed)


def _listing(images: Mapping[str, Members], devkit: Devkit | None) -> Listing:
    rows: list[Row] = []
    wnids: Sequence[str] = devkit.wnids if devkit else ()
    if "train" in images:
        rows += _training(images["train"])
        seen = {wnid for *_, wnid in rows}
        if devkit and (odd := sorted(seen.symmetric_difference(wnids))):
            raise DataError(
                f"{images['train'].place} and the development kit do not agree about the kind {odd[0]}: one of them is "
                "incomplete; fetch or extract it again."
            )
        wnids = sorted(seen)
    training = len(rows)
    if devkit and "val" in images:
        rows += _validation(images["val"], devkit)
    index = {wnid: i for i, wnid in enumerate(wnids)}
    labels = {
        "class": np.array([index[wnid] for *_, wnid in rows], dtype=np.int64),
        "split": (np.arange(len(rows)) >= training).astype(np.int64),
    }
    return Listing([(members, name) for members, name, _ in rows], labels)


def _training(members: Members) -> list[Row]:
    names = [name for name in members.names() if "/" in name]
    if not names:
        raise DataError(
            f"{members.place} holds no images in folders or archives of their kind: {_again(members.place)}."
        )
    return [(members, name, name.split("/")[-2]) for name in names]


def _validation(members: Members, devkit: Devkit) -> list[Row]:
    """In order of number, whether they lie side by side or, as often rearranged, in folders of their kind."""
    names = sorted(members.names(), key=lambda name: name.split("/")[-1])
    expected = [f"ILSVRC2012_val_{number:08d}" for number in range(1, len(devkit.validation) + 1)]
    found = {name.split("/")[-1].split(".")[0]: name for name in names}
    if missing := sorted(set(expected).difference(found)):
        raise DataError(f"{members.place} lacks {missing[0]}.JPEG: {_again(members.place)}.")
    if foreign := sorted(set(found).difference(expected)):
        raise DataError(f"{members.place} holds {found[foreign[0]]}, which the development kit does not know.")
    return [(members, found[name], wnid) for name, wnid in zip(expected, devkit.validation, strict=True)]


def _again(place: Path) -> str:
    return "extract it again" if place.is_dir() else "fetch it again"
