"""`folder`: a user's own images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import ArrayDataset
from latentprint.core.datasets.base import DATASETS, Dataset, Labels
from latentprint.core.datasets.checks import check_size
from latentprint.core.datasets.image_files import ImageFiles, decode_all, list_images
from latentprint.core.datasets.sample_files import SampleFiles, sample_files
from latentprint.core.digests import digest_json
from latentprint.core.samples import Size


@dataclass(frozen=True)
class FolderOptions:
    """Options of `folder`.

    Attributes:
        path: the folder; its subfolders are the classes where every image lies in one. Links are followed.
        side: what every image is brought to, pixels: the side of a square, or (height, width).
    """

    path: Path
    side: Size = 224


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
    side = check_size(given.side, "folder")
    found = list_images(given.path)
    files = sample_files([found])
    decoded = decode_all(found.files, side)
    return folder_dataset("folder", decoded, {"class": classes_of(files)}, files)


def folder_dataset(
    name: str, decoded: ImageFiles, labels: Mapping[str, NDArray[np.int64]], files: SampleFiles
) -> ArrayDataset:
    """A data set of decoded files, its digest made of each image's, so that no second copy is held."""
    content = {"images": decoded.digests, "labels": {key: values.tolist() for key, values in labels.items()}}
    return ArrayDataset(name, decoded.pixels, Labels(labels), digest_json(content), files)


def classes_of(files: SampleFiles) -> NDArray[np.int64]:
    """Class of each file, int64 [N]: its subfolder among all roots', sorted by name; 0 where no root has any."""
    names = sorted({name for classes in files.classes for name in classes})
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(Path(name).parts[0], 0) for name in files.names], dtype=np.int64)
