"""`gtsrb`: the German Traffic Sign Recognition Benchmark, from the official archives."""

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.image_files import Fit
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.ppm import PpmAsBmp
from latentprint.core.datasets.sources import find_source, read_text, require
from latentprint.core.errors import DataError
from latentprint.core.samples import Size

CLASSES = 43
_TRAINING, _TEST = "Final_Training/Images", "Final_Test/Images"
_TRUTH = "GT-final_test.csv"
_TRUTHS = ("GTSRB_Final_Test_GT.zip", *(f"{folder}{_TRUTH}" for folder in ("", "GTSRB/", "GTSRB_Final_Test_GT/")))
_TRACK = re.compile(r"(\d{5})_\d{5}\.ppm")
_AGAIN = "fetch or extract the official archives again"
Row = tuple[str, int]  # name and class of an image


@dataclass(frozen=True)
class GtsrbOptions(DecodedOptions):
    """Options of `gtsrb`.

    Attributes:
        path: the folder that holds GTSRB_Final_Training_Images.zip, GTSRB_Final_Test_Images.zip and
            GTSRB_Final_Test_GT.zip, or what was extracted from them: GTSRB/ and GT-final_test.csv.
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`; the images are not quite square, and squashing loses nothing of a sign.
        cache: see `DecodedOptions`.
    """

    side: Size = 32
    fit: Fit = "squash"


@DATASETS.register(
    "gtsrb",
    summary="51,839 photographs of 43 traffic signs; ids 0-39,208 training, then test; labels: class, split, track",
    source="Stallkamp, Schlipsing, Salmen & Igel, Man vs. computer, Neural Networks 32, 2012",
    needs={
        "options": "path, side (32), fit (squash), cache",
        "files": "GTSRB_Final_{Training_Images, Test_Images, Test_GT}.zip, or what was extracted from them",
    },
)
def gtsrb(options: Mapping[str, Any]) -> Dataset:
    """Open `gtsrb`: training images sorted by class, track and number, then test images by number.

    Labels: `class` (43, the official numbers), `split` (0 training, 1 test) and `track`: the 30 training images of a
    track show one sign from one car, and a split that parts them is no honest one. The official test set does not tell
    its tracks: each of its images counts as one of its own.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(GtsrbOptions, options, "data set 'gtsrb'")
    training = find_source(given.path, _names("Training", _TRAINING), "GTSRB's training images")
    test = find_source(given.path, _names("Test", _TEST), "GTSRB's test images")
    truth = find_source(given.path, _TRUTHS, "the classes of GTSRB's test images")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with ExitStack() as stack:
            signs = stack.enter_context(opened(training, f"GTSRB/{_TRAINING}"))
            others = stack.enter_context(opened(test, f"GTSRB/{_TEST}"))
            classes = stack.enter_context(opened(truth if truth.suffix == ".zip" else truth.parent))
            yield _listing(signs, others, classes)

    return open_decoded("gtsrb", given, [training, test, truth], gtsrb, listed)


def _names(kind: str, folder: str) -> tuple[str, ...]:
    archive = f"GTSRB_Final_{kind}_Images"
    return f"{archive}.zip", f"GTSRB/{folder}", folder, f"{archive}/GTSRB/{folder}"


def _listing(training: Members, test: Members, truth: Members) -> Listing:
    first, last = _training(training), _test(test, truth)
    labels = {
        "class": np.array([kind for _, kind in first + last], dtype=np.int64),
        "split": np.repeat(np.arange(2), [len(first), len(last)]),
        "track": _tracks(training, first, len(last)),
    }
    signs, others = PpmAsBmp(training), PpmAsBmp(test)
    return Listing([(signs, name) for name, _ in first] + [(others, name) for name, _ in last], labels)


def _training(members: Members) -> list[Row]:
    rows = []
    for kind in range(CLASSES):
        folder = f"{kind:05d}"
        table = f"{folder}/GT-{folder}.csv"
        found = [(f"{folder}/{name}", named) for name, named in _table(members, table)]
        if wrong := [name for name, named in found if named != kind]:
            raise DataError(f"{members.where(table)} gives {wrong[0]} another class than {kind}: {_AGAIN}.")
        rows += found
    _compare(members, rows, "the tables of the training images")
    return rows


def _test(members: Members, truth: Members) -> list[Row]:
    rows = _table(truth, _TRUTH)
    _compare(members, rows, _TRUTH)
    return rows


def _table(members: Members, name: str) -> list[Row]:
    """Name and class of each image in a table, sorted by name."""
    reader = csv.DictReader(read_text(members, name).splitlines(), delimiter=";")
    damaged = DataError(f"{members.where(name)} is damaged, or no table of Filename and ClassId: {_AGAIN}.")
    try:
        rows = sorted((row["Filename"], int(row["ClassId"])) for row in reader)
    except (KeyError, TypeError, ValueError):
        raise damaged from None
    if not rows or any(not 0 <= kind < CLASSES for _, kind in rows) or len(dict(rows)) < len(rows):
        raise damaged
    return rows


def _compare(members: Members, rows: list[Row], where: str) -> None:
    """Raise `DataError` unless the images are exactly those listed: a missing one would shift all sample ids."""
    expected = {name for name, _ in rows}
    require(members, expected)
    for name in members.names():
        if name.endswith(".ppm") and name not in expected:
            raise DataError(f"{members.place} holds {name}, which {where} do not name: {_AGAIN}.")


def _tracks(members: Members, training: list[Row], others: int) -> NDArray[np.int64]:
    pairs = []
    for name, kind in training:
        track = _TRACK.fullmatch(Path(name).name)
        if track is None:
            raise DataError(f"{members.where(name)} should be called TRACK_NUMBER.ppm, five digits each: {_AGAIN}.")
        pairs.append((kind, int(track[1])))
    index = {pair: i for i, pair in enumerate(sorted(set(pairs)))}
    own = len(index) + np.arange(others)
    return np.concatenate([np.array([index[pair] for pair in pairs], dtype=np.int64), own])
