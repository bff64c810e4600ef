"""`utkface`: UTKFace, from the official archive of aligned and cropped faces."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, cache_folder, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.found_files import PassedOver
from latentprint.core.datasets.gzipped import opened_gzip
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import find_source
from latentprint.core.errors import DataError
from latentprint.core.samples import Size

GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "others")
_FOLDER = "UTKFace"
_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+\.jpg(?:\.chip\.jpg)?")
_NO_NAME = "not named AGE_GENDER_RACE_TIME.jpg"


@dataclass(frozen=True)
class UtkFaceOptions(DecodedOptions):
    """Options of `utkface`.

    Attributes:
        path: UTKFace.tar.gz, its extracted folder, or a folder that holds either.
        side: see `DecodedOptions`; the official faces have 200 pixels.
        fit: see `DecodedOptions`; the images are square, so both are the same.
        cache: see `DecodedOptions`.
    """

    side: Size = 64


@DATASETS.register(
    "utkface",
    summary="some 23,700 faces, sorted by name; labels: class (gender), age; attributes: gender, race (5)",
    source="Zhang, Song & Qi, Age progression/regression by conditional adversarial autoencoder, CVPR 2017",
    needs={"options": "path, side (64), fit (crop), cache", "files": "UTKFace.tar.gz or its extracted folder"},
)
def utkface(options: Mapping[str, Any]) -> Dataset:
    """Open `utkface`: faces sorted by file name, [age]_[gender]_[race]_[date&time].jpg or .jpg.chip.jpg.

    Labels: `class` and the attribute `gender` (0 male, 1 female), the attribute `race` (0 to 4), `age` (years). Files
    of other names, of which the official archive has some, are left out and named in `passed_over`.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(UtkFaceOptions, options, "data set 'utkface'")
    place = given.path
    if not place.is_file() and not any(place.glob("*.jpg")):
        place = find_source(place, (f"{_FOLDER}.tar.gz", _FOLDER), "UTKFace")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with _opened(place, cache_folder(given.cache) / "datasets") as members:
            yield _listing(members)

    return open_decoded("utkface", given, [place], utkface, listed)


def _opened(place: Path, room: Path) -> AbstractContextManager[Members]:
    packed = place.is_file() and place.suffix in (".gz", ".tgz")
    return opened_gzip(place, room) if packed else opened(place, _FOLDER)


def _listing(members: Members) -> Listing:
    faces, rows, others = [], [], []
    for name in sorted(members.names(), key=lambda name: PurePosixPath(name).name):
        path = PurePosixPath(name)
        if str(path.parent) not in (".", _FOLDER):
            raise DataError(
                f"{members.place} holds {name}, and the faces of UTKFace lie in one folder: name the folder or the "
                "archive of the aligned and cropped ones."
            )
        if (found := _NAME.fullmatch(path.name)) is None:
            others.append(PassedOver(path.name, _NO_NAME))
            continue
        faces.append((members, name))
        rows.append([int(number) for number in found.groups()])
    if not faces:
        raise DataError(
            f"{members.place} holds no faces of UTKFace, named AGE_GENDER_RACE_TIME.jpg: fetch the official archive."
        )
    age, gender, race = np.array(rows, dtype=np.int64).T.copy()
    labels = {"class": gender.copy(), "gender": gender, "race": race, "age": age}
    return Listing(faces, labels, {"gender": GENDERS, "race": RACES}, tuple(others))
