"""`folders`: several folders of a user's own images as one data set, such as members and non-members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset, DatasetSpec
from latentprint.core.datasets.checks import check_size
from latentprint.core.datasets.folder import classes_of, folder_dataset
from latentprint.core.datasets.found_files import FoundFiles, Identity
from latentprint.core.datasets.image_files import ImageFiles, decode_all, list_images
from latentprint.core.datasets.sample_files import SampleFiles, sample_files
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import Size
from latentprint.core.text import printable

ROOT = "root"


@dataclass(frozen=True)
class FoldersOptions:
    """Options of `folders`.

    Attributes:
        paths: the folders, in order; subfolders of one name are one class in all of them.
        side: what every image is brought to, pixels: the side of a square, or (height, width).
    """

    paths: tuple[Path, ...]
    side: Size = 224


@DATASETS.register(
    "folders",
    summary="several folders of your own images as one data set; labels: root (which folder), class unless only some "
    "have class folders",
    source="the folders themselves",
    needs={"options": "paths, side (default 224)", "files": "folders of images, no image in two of them"},
)
def folders(options: Mapping[str, Any]) -> Dataset:
    """Open `folders`: the first folder's images sorted by path, then the second's, and so on.

    Raises:
        UsageError: a wrong option.
        DataError: as for `folder`, and the same image in two folders (both files are named).
    """
    given = from_mapping(FoldersOptions, options, "data set 'folders'")
    side = check_size(given.side, "folders")
    if not given.paths:
        raise UsageError("data set 'folders': paths must name at least one folder.")
    found = [list_images(root) for root in given.paths]
    _refuse_shared_folders(found)
    files = sample_files(found)
    decoded = decode_all([path for one in found for path in one.files], side)
    _refuse_shared(decoded, files.root)
    return folder_dataset("folders", decoded, _labels(files), files)


def folders_spec(members: Path, non_members: Path, side: Size) -> DatasetSpec:
    """The spec of the data set that `paired_folders` opens, for whoever opens it elsewhere."""
    return DatasetSpec("folders", {"paths": (str(members.resolve()), str(non_members.resolve())), "side": side})


def paired_folders(members: Path, non_members: Path, side: Size) -> tuple[Dataset, NDArray[np.bool_]]:
    """Members and non-members in two folders, as one data set, members first.

    Args:
        members: a folder of images.
        non_members: another.
        side: what every image is brought to, pixels: the side of a square, or (height, width).

    Returns:
        The data set, and which of its samples are members, bool [N].

    Raises:
        DataError: as for `folders`.
    """
    dataset = folders_spec(members, non_members, side).open()
    return dataset, dataset.labels[ROOT] == 0


def _labels(files: SampleFiles) -> dict[str, NDArray[np.int64]]:
    """Which folder a sample lies in, and its class unless some folders have classes and others none."""
    by_class = {"class": classes_of(files)} if len({bool(names) for names in files.classes}) == 1 else {}
    return {**by_class, ROOT: files.root}


def _refuse_shared_folders(found: Sequence[FoundFiles]) -> None:
    """Raise `DataError` where two roots are one folder, one holds the other, or links in both lead to one folder."""
    seen: dict[Identity, tuple[int, Path]] = {}
    for index, one in enumerate(found):
        for identity, path in one.folders.items():
            first, place = seen.setdefault(identity, (index, path))
            if first != index:
                raise DataError(
                    f"{printable(place)} and {printable(path)} are one folder, read for {printable(found[first].root)} "
                    f"and for {printable(one.root)}: an image cannot be in both. Name folders that share nothing."
                )


def _refuse_shared(files: ImageFiles, roots: NDArray[np.int64]) -> None:
    """Raise `DataError` where one image lies in two folders: it cannot be both a member and a non-member."""
    seen: dict[str, int] = {}
    for index, digest in enumerate(files.digests):
        first = seen.setdefault(digest, index)
        if roots[first] != roots[index]:
            raise DataError(
                f"{printable(files.paths[first])} and {printable(files.paths[index])} are the same image in two "
                "folders: it cannot be in both; remove one of them."
            )
