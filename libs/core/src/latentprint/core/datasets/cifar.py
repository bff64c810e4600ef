"""`cifar10` and `cifar100`, from the official Python archives."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import array_dataset
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cifar_archive import read_batches
from latentprint.core.datasets.downloads import fetch

_SOURCE = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_CIFAR10_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


@dataclass(frozen=True)
class CifarOptions:
    """Options of `cifar10` and `cifar100`.

    Attributes:
        path: the official archive (cifar-10-python.tar.gz or cifar-100-python.tar.gz) or its extracted folder; with
            `download`, the folder that it is fetched to.
        download: fetch the archive first, from where torchvision knows it, unless it is there.
    """

    path: Path
    download: bool = False


@DATASETS.register(
    "cifar10",
    summary="60,000 photographs of 10 kinds, 32x32; ids 0-49,999 training batches 1-5, then the test batch",
    source=_SOURCE,
    needs={"options": "path, download (false)", "files": "cifar-10-python.tar.gz or its extracted folder"},
)
def cifar10(options: Mapping[str, Any]) -> Dataset:
    """Open `cifar10`: training batches 1 to 5, then the test batch, each in its own order; label `class` (10).

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, by name; a download that failed.
    """
    path = _path("cifar10", options)
    pixels, classes = read_batches(path, "cifar-10-batches-py", _CIFAR10_BATCHES, ("labels",))
    return array_dataset("cifar10", pixels, {"class": classes})


@DATASETS.register(
    "cifar100",
    summary="60,000 photographs of 100 kinds in 20 groups, 32x32; ids 0-49,999 training, then test",
    source=_SOURCE,
    needs={"options": "path, download (false)", "files": "cifar-100-python.tar.gz or its extracted folder"},
)
def cifar100(options: Mapping[str, Any]) -> Dataset:
    """Open `cifar100`: the training batch, then the test batch; labels `class` (100, fine) and `coarse` (20).

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, by name; a download that failed.
    """
    path = _path("cifar100", options)
    wanted = ("fine_labels", "coarse_labels")
    pixels, fine, coarse = read_batches(path, "cifar-100-python", ("train", "test"), wanted)
    return array_dataset("cifar100", pixels, {"class": fine, "coarse": coarse})


def _path(name: str, options: Mapping[str, Any]) -> Path:
    """Where the archive lies; it is fetched first where the options say so."""
    given = from_mapping(CifarOptions, options, f"data set {name!r}")
    if given.download:
        fetch(name, given.path)
    return given.path
