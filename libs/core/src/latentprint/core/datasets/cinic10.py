"""`cinic10`: CINIC-10, from the official archive."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, cache_folder, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.gzipped import opened_gzip
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import find_source
from latentprint.core.errors import DataError
from latentprint.core.samples import Size

Origin = Literal["all", "imagenet", "cifar10"]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBSETS = ("train", "valid", "test")
_ORIGINS: dict[Origin, tuple[int, ...]] = {"all": (0, 1), "imagenet": (0,), "cifar10": (1,)}
_FROM_CIFAR = ("cifar10-", "cifar-10-")  # the authors write it in both ways
_AGAIN = "fetch or extract the official archive again"


@dataclass(frozen=True)
class Cinic10Options(DecodedOptions):
    """Options of `cinic10`.

    Attributes:
        path: CINIC-10.tar.gz, its extracted folder (that of train/, valid/ and test/), or a folder that holds
            CINIC-10.tar.gz or CINIC-10/.
        side: see `DecodedOptions`; 32 leaves the images as they are.
        fit: see `DecodedOptions`; the images are square, so both are the same.
        cache: see `DecodedOptions`.
        origin: "imagenet" or "cifar10", the images that come from there, or "all".
    """

    side: Size = 32
    origin: Origin = "all"


@DATASETS.register(
    "cinic10",
    summary="270,000 images of CIFAR10's 10 classes, 32x32, from ImageNet and CIFAR10; labels: class, split, origin",
    source="Darlow, Crowley, Antoniou & Storkey, CINIC-10 is not ImageNet or CIFAR-10, 2018",
    needs={
        "options": "path, origin (all), side (32), fit (crop), cache",
        "files": "CINIC-10.tar.gz or its extracted folder",
    },
)
def cinic10(options: Mapping[str, Any]) -> Dataset:
    """Open `cinic10`: training, then validation, then test images, each sorted by class and file name.

    With an `origin`, the others are left out and the order stays. Labels: `class` (10, numbered as in CIFAR10), `split`
    (0 training, 1 validation, 2 test) and `origin` (0 ImageNet, 1 CIFAR10: the file's name begins with "cifar10-").

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(Cinic10Options, options, "data set 'cinic10'")
    place = given.path
    if not place.is_file() and not (place / "train").is_dir():
        place = find_source(place, ("CINIC-10.tar.gz", "CINIC-10"), "CINIC-10")

    @contextmanager
    def listed() -> Iterator[Listing]:
        with _opened(place, cache_folder(given.cache) / "datasets") as members:
            yield _listing(members, _ORIGINS[given.origin])

    return open_decoded("cinic10", given, [place], cinic10, listed)


def _opened(place: Path, room: Path) -> AbstractContextManager[Members]:
    packed = place.is_file() and place.suffix in (".gz", ".tgz")
    return opened_gzip(place, room) if packed else opened(place)


def _listing(members: Members, origins: tuple[int, ...]) -> Listing:
    kept, rows, counts = [], [], dict.fromkeys([f"{subset}/{kind}" for subset in SUBSETS for kind in CLASSES], 0)
    for name in members.names():
        path = PurePosixPath(name)
        if path.parts[0] not in SUBSETS or len(path.parts) == 1:
            continue
        folder = str(path.parent)
        if folder not in counts or path.suffix != ".png":
            raise DataError(f"{members.place} holds {name}, which is no image of CINIC-10: {_AGAIN}.")
        counts[folder] += 1
        origin = int(path.name.startswith(_FROM_CIFAR))
        if origin in origins:
            kept.append(name)
            rows.append((SUBSETS.index(path.parts[0]), CLASSES.index(path.parts[1]), origin))
    _check_counts(members, counts)
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    order = np.argsort(columns[:, 0], kind="stable")  # names are sorted, but "test" comes before "train"
    labels = {key: columns[order, column] for column, key in enumerate(("split", "class", "origin"))}
    return Listing([(members, kept[row]) for row in order], labels)


def _check_counts(members: Members, counts: Mapping[str, int]) -> None:
    """Raise `DataError` unless all 30 folders hold equally many images, as the official ones do (9,000)."""
    usual, _ = Counter(counts.values()).most_common(1)[0]
    if usual == 0:
        raise DataError(f"{members.place} lacks the images of CINIC-10, train/airplane/*.png and so on: {_AGAIN}.")
    for folder, count in counts.items():
        if count != usual:
            raise DataError(
                f"{members.place}: {folder} holds {count:,} images, and others hold {usual:,}, where all hold equally "
                f"many in the official archive: {_AGAIN}."
            )
