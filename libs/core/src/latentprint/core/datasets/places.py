"""`places`: Places365-Standard, from the official archive and lists."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import SPLITS, Split, find_source, read_text
from latentprint.core.digests import digest_json
from latentprint.core.errors import DataError

SURROUNDINGS = ("indoor", "outdoor")
_FOLDER = "places365_standard"
_IMAGES = (_FOLDER, "places365standard_easyformat.tar", f"{_FOLDER}.tar")
_CATEGORIES, _SURROUNDINGS = "categories_places365.txt", "IO_places365.txt"
_AGAIN = "fetch or extract the official archive again"


@dataclass(frozen=True)
class DecodedPlacesOptions(DecodedOptions):
    """What the decoded images of `places` depend on.

    Attributes:
        path: the folder that holds places365_standard/ or places365standard_easyformat.tar, categories_places365.txt
            and IO_places365.txt.
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        split: "train", "val", or "all", training images first.
    """

    split: Split = "all"


@dataclass(frozen=True)
class PlacesOptions(DecodedPlacesOptions):
    """Options of `places`, beside those of `DecodedPlacesOptions`.

    Attributes:
        task: the attribute that is the class.
    """

    task: Literal["category", "surroundings"] = "category"


@DATASETS.register(
    "places",
    summary="1,840,000 photographs of 365 kinds of place; labels: class (the task's), split; attributes: 2",
    source="Zhou, Lapedriza, Khosla, Oliva & Torralba, Places, IEEE TPAMI 40, 2018",
    needs={
        "options": "path, task (category), side (224), fit (crop), split (all), cache",
        "files": "places365_standard/ or its .tar, categories_places365.txt, IO_places365.txt",
    },
)
def places(options: Mapping[str, Any]) -> Dataset:
    """Open `places`: images sorted by category and name within each split, categories by their official number.

    Labels: the attributes `category` (365) and `surroundings` (0 indoor, 1 outdoor), `class`, which is one of them, and
    `split` (0 training, 1 validation). Images are decoded once, whatever the task.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(PlacesOptions, options, "data set 'places'")
    images = find_source(given.path, _IMAGES, "the images of Places365")
    lists = [_list(given.path, name) for name in (_CATEGORIES, _SURROUNDINGS)]

    @contextmanager
    def listed() -> Iterator[Listing]:
        with ExitStack() as stack:
            members = stack.enter_context(opened(images, _FOLDER))
            kinds = _kinds([stack.enter_context(opened(place.parent)) for place in lists])
            yield _listing(members, kinds, SPLITS[given.split])

    decoded = DecodedPlacesOptions(given.path, given.side, given.fit, given.cache, given.split)
    whole = open_decoded("places", decoded, [images, *lists], places, listed)
    labels = {**whole.labels, "class": whole.labels[given.task]}
    return replace(whole, labels=labels, digest=digest_json({"of": whole.digest, "task": given.task}))


def _list(path: Path, name: str) -> Path:
    return find_source(path, (name, f"{_FOLDER}/{name}"), "a list of Places365")


def _kinds(beside: Sequence[Members]) -> dict[str, int]:
    """Whether each category is outdoors (0 or 1), in the order of their numbers, by the name of its folder."""
    numbers, sides = (_numbers(*one) for one in zip(beside, (_CATEGORIES, _SURROUNDINGS), strict=True))
    if odd := sorted(numbers.keys() ^ sides.keys()):
        raise DataError(f"{_CATEGORIES} and {_SURROUNDINGS} do not agree about {odd[0]}: fetch both again.")
    if sorted(numbers.values()) != list(range(len(numbers))) or not set(sides.values()) <= {1, 2}:
        raise DataError(
            f"{beside[0].where(_CATEGORIES)} should number the categories from 0, and {_SURROUNDINGS} give each 1 "
            "(indoor) or 2 (outdoor): fetch both again."
        )
    return {_folder(kind): sides[kind] - 1 for kind in sorted(numbers, key=lambda kind: numbers[kind])}


def _numbers(members: Members, name: str) -> dict[str, int]:
    """The number of each category, /a/airfield and so on, in a list of a category and a number a line."""
    try:
        return {kind: int(number) for kind, number in map(str.split, read_text(members, name).splitlines())}
    except ValueError:
        raise DataError(
            f"{members.where(name)} is damaged, or no list of categories and numbers: fetch it again."
        ) from None


def _folder(kind: str) -> str:
    """The folder of a category: of /a/apartment_building/outdoor it is apartment_building-outdoor."""
    return "-".join(PurePosixPath(kind).parts[2:])


def _listing(members: Members, kinds: Mapping[str, int], splits: Sequence[str]) -> Listing:
    numbers = {kind: i for i, kind in enumerate(kinds)}
    rows = []
    for name in members.names():
        path = PurePosixPath(name)
        split, *between = path.parts[:-1] or ("",)
        if split not in splits or path.suffix != ".jpg":
            continue
        kind = "-".join(between)
        if kind not in numbers:
            raise DataError(f"{members.place} holds {name}, of a category that {_CATEGORIES} does not name: {_AGAIN}.")
        rows.append((splits.index(split), numbers[kind], name))
    rows.sort()
    found = {row[:2] for row in rows}
    for place, split in enumerate(splits):
        if missing := [kind for kind, number in numbers.items() if (place, number) not in found]:
            raise DataError(f"{members.place} lacks the images of {split}/{missing[0]}: {_AGAIN}.")
    category = np.array([number for _, number, _ in rows], dtype=np.int64)
    labels = {
        "category": category,
        "surroundings": np.array(list(kinds.values()), dtype=np.int64)[category],
        "split": np.array([int(splits[place] == "val") for place, *_ in rows], dtype=np.int64),
    }
    return Listing(
        [(members, row[2]) for row in rows], labels, {"category": tuple(kinds), "surroundings": SURROUNDINGS}
    )
