"""What a data set is: samples by id, the labels they have, and a digest. It knows nothing of membership."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.errors import DataError
from latentprint.core.registry import Registry
from latentprint.core.samples import Images, Samples, Vectors

__all__ = ["DATASETS", "Dataset", "DatasetSpec", "Ids", "Images", "Labels", "Samples", "Vectors"]

Ids = NDArray[np.int64]


class Labels(dict[str, NDArray[np.int64]]):
    """Label name to int64 [len]. One that was never there is a `DataError`: labels are not invented."""

    def __missing__(self, name: str) -> NDArray[np.int64]:
        known = f"its labels are {', '.join(sorted(self))}" if self else "it has none"
        raise DataError(f"The data set has no label {name!r}: {known}.")


class Dataset(Protocol):
    """Images of one size, or vectors of one length, addressed by sample ids 0 .. len - 1.

    Attributes:
        name: registered name, e.g. "digits".
        sample_shape: (height, width, 3) of every image, or (features,) of every vector.
        image_size: (height, width) of every image, pixels; a data set of vectors has none.
        labels: label name to int64 [len]; "class" wherever every sample has one, "user" and attributes where known.
        attributes: those labels that are attributes, such as "sensitive", to the names of their values 0, 1, ...;
            `datasets.attributes` reads them.
        digest: SHA-256 (hex) of everything the samples and labels depend on.
        files: which file each sample is; None where they are generated, or their files are not told apart.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of every image, or (features,) of every vector."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels. Raises `UsageError` for a data set of vectors."""
        ...

    @property
    def labels(self) -> Mapping[str, NDArray[np.int64]]:
        """Label name to int64 [len]."""
        ...

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """Labels that are attributes, to the names of their values."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of content."""
        ...

    @property
    def files(self) -> SampleFiles | None:
        """Which file each sample is; None where that is not known."""
        ...

    def __len__(self) -> int: ...

    def images(self, ids: Ids) -> Samples:
        """The samples of `ids` (int64 [B]): images, uint8 [B, H, W, 3], RGB, or vectors, float32 [B, F]."""
        ...


@dataclass(frozen=True)
class DatasetSpec:
    """A data set by name and options: small, picklable, opened where it is needed."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> Dataset:
        """Open it. Raises `UsageError` for an unknown name or option, `DataError` for bad content."""
        return DATASETS.get(self.name)(self.options)


DATASETS: Registry[Callable[[Mapping[str, Any]], Dataset]] = Registry("data set")
