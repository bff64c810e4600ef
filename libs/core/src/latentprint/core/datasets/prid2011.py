"""`prid2011`: PRID 2011, pedestrians' walks seen by two cameras, from the official archive."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

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

CAMERAS = ("cam_a", "cam_b")
_FOLDER = "prid_2011"
_NAME = re.compile(r"(cam_[ab])/person_(\d{4})(?:/[^/]+)?\.png")
_IN_BOTH = 200  # people 1 to 200 are the same in both cameras; the others' numbers are a camera's own
_AGAIN = "fetch or extract the official archive again"


@dataclass(frozen=True)
class Prid2011Options(DecodedOptions):
    """Options of `prid2011`.

    Attributes:
        path: prid_2011.zip, its extracted folder (that of multi_shot/ and single_shot/), or a folder that holds either.
        side: see `DecodedOptions`; (128, 64) leaves the images as they are.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        shots: "multi", all frames of every walk, or "single", one image of each.
    """

    side: Size = (128, 64)
    fit: Fit = "squash"
    shots: Literal["multi", "single"] = "multi"


@DATASETS.register(
    "prid2011",
    summary="frames of 934 pedestrians, 128x64, from two cameras; labels: class and user (the person), camera",
    source="Hirzer et al., Person re-identification by descriptive and discriminative classification, SCIA 2011",
    needs={
        "options": "path, shots (multi), side (128x64), fit (squash), cache",
        "files": "prid_2011.zip or its extracted folder",
    },
)
def prid2011(options: Mapping[str, Any]) -> Dataset:
    """Open `prid2011`: the first camera's images, then the second's, each sorted by person and file name.

    Labels: `user`, and `class` alike, number the people that are read: those whom both cameras see first, in order of
    their official numbers (up to 200), then the others of the first camera, then of the second. `camera` is 0 or 1.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(Prid2011Options, options, "data set 'prid2011'")
    place, shots = given.path, f"{given.shots}_shot"
    if not place.is_file() and not (place / shots).is_dir():
        place = find_source(place, (f"{_FOLDER}.zip", _FOLDER), "PRID 2011")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with opened(place, _FOLDER) as members:
            yield _listing(members, shots)

    return open_decoded("prid2011", given, [place], prid2011, listed)


def _listing(members: Members, shots: str) -> Listing:
    kept, rows = [], []
    for name in members.names():
        if not name.startswith(f"{shots}/") or not name.endswith(".png"):
            continue
        found = _NAME.fullmatch(name.removeprefix(f"{shots}/"))
        if found is None:
            raise DataError(f"{members.place} holds {name}, which is no image of PRID 2011: {_AGAIN}.")
        camera, number = CAMERAS.index(found[1]), int(found[2])
        kept.append(name)
        rows.append((camera, 0 if number <= _IN_BOTH else 1 + camera, number))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    for index, folder in enumerate(CAMERAS):
        if index not in columns[:, 0]:
            raise DataError(f"{members.place} lacks {shots}/{folder}/person_0001 and so on: {_AGAIN}.")
    user = np.unique(columns[:, 1:], axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    labels = {"class": user.copy(), USER: user, "camera": columns[:, 0].copy()}
    return Listing([(members, name) for name in kept], labels)
