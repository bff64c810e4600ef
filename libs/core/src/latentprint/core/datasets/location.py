"""`location`: where people in Bangkok checked in, prepared by Shokri et al."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import vector_dataset
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.prepared_bits import Prepared, read_prepared
from latentprint.core.datasets.sources import find_source

_PREPARED = Prepared("the prepared check-ins (446 features, 30 classes)", ("bangkok", "location"), 446, 30)
_ARCHIVES = ("dataset_location.tgz", "dataset_location.tar.gz", "dataset_location")


@dataclass(frozen=True)
class LocationOptions:
    """Options of `location`.

    Attributes:
        path: the prepared text ("label,bit,..."), the .tgz that holds it, or a folder with either.
    """

    path: Path


@DATASETS.register(
    "location",
    summary="5,010 people's check-ins, 446 binary features; labels: class (30, clusters)",
    source="Shokri et al., S&P 2017, from Foursquare's check-ins in Bangkok (Yang et al., 2016)",
    needs={"options": "path", "files": "bangkok (text) or dataset_location.tgz"},
)
def location(options: Mapping[str, Any]) -> Dataset:
    """Open `location`, in the file's order; label `class`, from 0.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, by name.
    """
    given = from_mapping(LocationOptions, options, "data set 'location'")
    names = (*_PREPARED.names, *_ARCHIVES)
    place = given.path if given.path.is_file() else find_source(given.path, names, _PREPARED.what)
    if place.is_dir():
        place = find_source(place, _PREPARED.names, _PREPARED.what)
    vectors, classes = read_prepared(place, _PREPARED)
    return vector_dataset("location", vectors, {"class": classes})
