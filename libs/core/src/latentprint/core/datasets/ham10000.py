"""`ham10000`: dermatoscopic images, from the official archives."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import find_source, read_text
from latentprint.core.errors import DataError

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
_PARTS = tuple(f"HAM10000_images_part_{part}" for part in (1, 2))
_METADATA = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
_COLUMNS = ("image_id", "lesion_id", "dx")


@dataclass(frozen=True)
class Ham10000Options(DecodedOptions):
    """Options of `ham10000`.

    Attributes:
        path: the folder that holds HAM10000_images_part_1 and _2 (.zip or extracted) and HAM10000_metadata (.csv, .tab
            or no suffix).
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
    """


@DATASETS.register(
    "ham10000",
    summary="10,015 dermatoscopic images of 7,470 lesions, 7 diagnoses, sorted by image_id; labels: class, lesion",
    source="Tschandl, Rosendahl & Kittler, The HAM10000 dataset, Scientific Data 5, 2018",
    needs={
        "options": "path, side (224), fit (crop), cache",
        "files": "HAM10000_images_part_1.zip, HAM10000_images_part_2.zip, HAM10000_metadata",
    },
)
def ham10000(options: Mapping[str, Any]) -> Dataset:
    """Open `ham10000`, sorted by image_id. The official data set has no splits.

    Labels: `class` (dx: akiec, bcc, bkl, df, mel, nv, vasc) and `lesion`, the index of lesion_id among all of them,
    sorted: images of one lesion show one spot of one person, and a split that parts them is no honest one.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(Ham10000Options, options, "data set 'ham10000'")
    table = find_source(given.path, _METADATA, "the metadata of HAM10000")
    parts = [find_source(given.path, (f"{part}.zip", part), "images of HAM10000") for part in _PARTS]

    @contextmanager
    def listed() -> Iterator[Listing]:
        with opened(table.parent) as beside, ExitStack() as stack:
            images = [stack.enter_context(opened(part)) for part in parts]
            yield _listing(beside, table.name, images)

    return open_decoded("ham10000", given, [table, *parts], ham10000, listed)


def _listing(beside: Members, table: str, parts: Sequence[Members]) -> Listing:
    rows = _rows(read_text(beside, table), beside.where(table))
    places = {PurePosixPath(name).stem: (members, name) for members in parts for name in members.names()}
    for image, *_ in rows:
        if image not in places:
            where = " and ".join(str(members.place) for members in parts)
            raise DataError(f"{where} lack {image}.jpg, which {table} names: fetch or extract them again.")
    lesions, diagnoses = ([row[column] for row in rows] for column in (1, 2))
    labels = {"class": _indices(diagnoses, DIAGNOSES), "lesion": _indices(lesions, sorted(set(lesions)))}
    return Listing([places[image] for image, *_ in rows], labels)


def _rows(text: str, where: str) -> list[tuple[str, str, str]]:
    """image_id, lesion_id and dx of each image, sorted."""
    lines = text.splitlines()
    reader = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
        raise DataError(f"{where} lacks the column {missing[0]}: fetch HAM10000_metadata again.")
    rows = sorted((row["image_id"] or "", row["lesion_id"] or "", row["dx"] or "") for row in reader)
    if not rows:
        raise DataError(f"{where} names no images: fetch HAM10000_metadata again.")
    for image, lesion, diagnosis in rows:
        if not image or not lesion or diagnosis not in DIAGNOSES:
            raise DataError(f"{where} is damaged at image {image!r}, diagnosis {diagnosis!r}: fetch it again.")
    if len({image for image, *_ in rows}) < len(rows):
        raise DataError(f"{where} names an image twice: fetch HAM10000_metadata again.")
    return rows


def _indices(values: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[value] for value in values], dtype=np.int64)
