"""`market1501`: Market-1501, pedestrians seen by six cameras, from the official archive."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.attributes import USER
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.image_files import Fit
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import find_source
from latentprint.core.errors import DataError
from latentprint.core.samples import Size

SUBSETS = ("bounding_box_train", "bounding_box_test", "query")
_FOLDER = "Market-1501-v15.09.15"
_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d_\d{6}_\d{2}\.jpg")
_NOBODY = ("-1", "0000")  # a junk image, a distractor
_AGAIN = "fetch or extract the official archive again"


@dataclass(frozen=True)
class Market1501Options(DecodedOptions):
    """Options of `market1501`.

    Attributes:
        path: Market-1501-v15.09.15.zip, its extracted folder, or a folder that holds either.
        side: see `DecodedOptions`; (128, 64) leaves the images as they are.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        query: also read the 3,368 images of query/, which show people of bounding_box_test.
    """

    side: Size = (128, 64)
    fit: Fit = "squash"
    query: bool = False


@DATASETS.register(
    "market1501",
    summary="26,051 images of 1,501 pedestrians, 128x64; labels: class and user (the person), camera, split",
    source="Zheng et al., Scalable person re-identification: a benchmark, ICCV 2015",
    needs={
        "options": "path, query (false), side (128x64), fit (squash), cache",
        "files": "Market-1501-v15.09.15.zip or its extracted folder",
    },
)
def market1501(options: Mapping[str, Any]) -> Dataset:
    """Open `market1501`: training, then test images, each sorted by file name, then, if asked for, the query's.

    Labels: `user`, and `class` alike, number the people that are read, in the order of their official numbers;
    `camera` (0 to 5) and `split` (0 training, 1 test, 2 query). Junk images (-1) and distractors (0000), which show
    nobody of the 1,501, are left out.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(Market1501Options, options, "data set 'market1501'")
    place = given.path
    if not place.is_file() and not (place / SUBSETS[0]).is_dir():
        place = find_source(place, (f"{_FOLDER}.zip", _FOLDER), "Market-1501")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with opened(place, _FOLDER) as members:
            yield _listing(members, SUBSETS if given.query else SUBSETS[:2])

    return open_decoded("market1501", given, [place], market1501, listed)


def _listing(members: Members, subsets: tuple[str, ...]) -> Listing:
    kept, rows = [], []
    for name in members.names():
        path = PurePosixPath(name)
        if path.suffix != ".jpg" or path.parts[0] not in subsets:
            continue
        found = _NAME.fullmatch(path.name)
        if found is None or len(path.parts) != 2:
            raise DataError(f"{members.place} holds {name}, which is no image of Market-1501: {_AGAIN}.")
        person, camera = found.groups()
        if person not in _NOBODY:
            kept.append(name)
            rows.append((subsets.index(path.parts[0]), int(person), int(camera) - 1))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    for number, subset in enumerate(subsets):
        if number not in columns[:, 0]:
            raise DataError(
                f"{members.place} lacks the images of {subset}, 0002_c1s1_000451_03.jpg and so on: {_AGAIN}."
            )
    order = np.argsort(columns[:, 0], kind="stable")  # names are sorted, but "test" comes before "train"
    subset_of, person_of, camera_of = columns[order].T.copy()
    user = np.unique(person_of, return_inverse=True)[1].astype(np.int64)
    labels = {"class": user.copy(), USER: user, "camera": camera_of, "split": subset_of}
    return Listing([(members, kept[row]) for row in order], labels)
