"""`folder`: a user's own images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakscope.core.config import from_mapping
from leakscope.core.datasets.arrays import ArrayDataset
from leakscope.core.datasets.base import DATASETS, Dataset
from leakscope.core.datasets.checks import check_side
from leakscope.core.datasets.image_files import ImageFiles, decode_all, list_images
from leakscope.core.digests import digest_json
from leakscope.core.errors import DataError


@dataclass(frozen=True)
class FolderOptions:
    """Options of `folder`.

    Attributes:
        path: the folder; its subfolders, where it has any, are the classes.
        side: height and width that every image is brought to, pixels.
    """

    path: Path
    side: int = 224


@DATASETS.register(
    "folder",
    summary="your own images (PNG, JPEG, WebP, BMP), sorted by path; labels: class (its subfolders, if any)",
    source="the folder itself",
    needs={"options": "path, side (default 224)", "files": "a folder of images"},
)
def folder(options: Mapping[str, Any]) -> Dataset:
    """Open `folder`.

    Raises:
        UsageError: a wrong option.
        DataError: no such folder, an empty one, a file that is not an image or is broken, by name.
    """
    given = from_mapping(FolderOptions, options, "data set 'folder'")
    side = check_side(given.side, "folder")
    names = class_names([given.path])
    paths = list_images(given.path)
    return folder_dataset("folder", decode_all(paths, side), {"class": classes_of(paths, given.path, names)})


def folder_dataset(name: str, files: ImageFiles, labels: Mapping[str, NDArray[np.int64]]) -> ArrayDataset:
    """A data set of decoded files, its digest made of each image's, so that no second copy is held."""
    content = {"images": files.digests, "labels": {key: values.tolist() for key, values in labels.items()}}
    return ArrayDataset(name, files.pixels, dict(labels), digest_json(content))


def class_names(roots: Sequence[Path]) -> list[str]:
    """Names of the subfolders of `roots` that hold images, sorted; class i is the i-th of them.

    Raises:
        DataError: a root with images both in subfolders and beside them.
    """
    names: set[str] = set()
    for root in roots:
        inside = [path.relative_to(root).parts for path in list_images(root)]
        loose = [parts for parts in inside if len(parts) == 1]
        if loose and len(loose) < len(inside):
            raise DataError(
                f"{root} holds images both in subfolders and beside them (such as {loose[0][0]}): "
                "subfolders are classes, so move every image into one, or all into the folder itself."
            )
        names.update(parts[0] for parts in inside if len(parts) > 1)
    return sorted(names)


def classes_of(paths: Sequence[Path], root: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Class of each file, int64 [N]: the index in `names` of its subfolder, 0 where there are none."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(path.relative_to(root).parts[0], 0) for path in paths], dtype=np.int64)
