"""`coco`: MS COCO 2017, from the official archives."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import SPLITS, Split, find_source, require
from latentprint.core.errors import DataError

_ANNOTATIONS = ("annotations_trainval2017.zip", "annotations")


@dataclass(frozen=True)
class CocoOptions(DecodedOptions):
    """Options of `coco`.

    Attributes:
        path: the folder that holds train2017, val2017 (.zip or extracted) and annotations_trainval2017.zip or its
            extracted folder annotations.
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        split: "train", "val", or "all", training images first.
        unannotated: images without an annotated object: a class of their "own", after all others, or "omit" them.
    """

    split: Split = "all"
    unannotated: Literal["own", "omit"] = "own"


class _Object(NamedTuple):
    """An annotated object: ordered by what makes it the one that names its image."""

    area: float
    category: int
    image: int


@DATASETS.register(
    "coco",
    summary="MS COCO 2017, 123,287 photographs, training then validation; labels: class (largest object's), split",
    source="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
    needs={
        "options": "path, side (224), fit (crop), split (all), unannotated (own), cache",
        "files": "train2017.zip, val2017.zip, annotations_trainval2017.zip, or their extracted folders",
    },
)
def coco(options: Mapping[str, Any]) -> Dataset:
    """Open `coco`: images sorted by file name within each split.

    Labels: `class`, the category of the largest annotated object by area in pixels, crowds left out (class i is the
    i-th of the categories sorted by id; a tie goes to the lower one), and `split` (0 training, 1 validation).

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(CocoOptions, options, "data set 'coco'")
    splits = SPLITS[given.split]
    tables = find_source(given.path, _ANNOTATIONS, "the annotations of COCO 2017")
    places = {split: _images_of(given.path, split) for split in splits}

    @contextmanager
    def listed() -> Iterator[Listing]:
        with ExitStack() as stack:
            annotations = stack.enter_context(opened(tables, "annotations"))
            images = {split: stack.enter_context(opened(places[split], f"{split}2017")) for split in splits}
            yield _listing(annotations, images, given.unannotated == "own")

    return open_decoded("coco", given, [tables, *places.values()], coco, listed)


def _images_of(path: Path, split: str) -> Path:
    return find_source(path, (f"{split}2017.zip", f"{split}2017"), f"the images of COCO's split {split}")


def _listing(annotations: Members, images: Mapping[str, Members], keep_unannotated: bool) -> Listing:
    files: list[tuple[Members, str]] = []
    classes: list[int] = []
    splits: list[int] = []
    categories: list[int] | None = None
    for split, members in images.items():
        name = f"instances_{split}2017.json"
        known, rows = _named(annotations, name)
        if categories not in (None, known):
            raise DataError(f"{annotations.where(name)} has other categories than the training annotations.")
        categories = known
        rows = [row for row in rows if keep_unannotated or row[1] < len(known)]
        require(members, [file for file, _ in rows])
        files += [(members, file) for file, _ in rows]
        classes += [label for _, label in rows]
        splits += [int(split == "val")] * len(rows)
    if not files:
        raise DataError(f"{annotations.place} names no images: fetch the official archive again.")
    return Listing(files, {"class": np.array(classes, dtype=np.int64), "split": np.array(splits, dtype=np.int64)})


def _named(annotations: Members, name: str) -> tuple[list[int], list[tuple[str, int]]]:
    """Ids of the categories, sorted, and file name and class of each image, sorted by name."""
    require(annotations, [name])
    try:
        table = json.loads(annotations.read(name), object_hook=_reduced)
        categories = sorted(item["id"] for item in table["categories"])
        largest: dict[int, _Object] = {}
        for item in table["annotations"]:
            if isinstance(item, _Object):
                best = largest.get(item.image, item)
                largest[item.image] = max(item, best, key=lambda found: (found.area, -found.category))
        index = {category: i for i, category in enumerate(categories)}
        none = len(categories)
        rows = [
            (item["file_name"], index[largest[item["id"]].category] if item["id"] in largest else none)
            for item in table["images"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{annotations.where(name)} is no table of COCO's annotations ({error!r}).") from None
    return categories, sorted(rows)


def _reduced(item: dict[str, Any]) -> Any:
    """Annotations without their outlines, which would fill gigabytes, and crowds as nothing."""
    if "category_id" not in item:
        return item
    return None if item.get("iscrowd") else _Object(item["area"], item["category_id"], item["image_id"])
