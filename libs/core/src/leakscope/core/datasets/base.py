"""What a data set is: uint8 images by sample id, the labels it has, and a digest. It knows nothing of membership."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leakscope.core.registry import Registry

Images = NDArray[np.uint8]
Ids = NDArray[np.int64]


class Dataset(Protocol):
    """Images of one size, addressed by sample ids 0 .. len - 1.

    Attributes:
        name: registered name, e.g. "digits".
        image_size: (height, width) of every image, pixels.
        labels: label name to int64 [len]; "class" always, "user" and attributes where known.
        digest: SHA-256 (hex) of everything the images and labels depend on.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels."""
        ...

    @property
    def labels(self) -> Mapping[str, NDArray[np.int64]]:
        """Label name to int64 [len]."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of content."""
        ...

    def __len__(self) -> int: ...

    def images(self, ids: Ids) -> Images:
        """The images of `ids` (int64 [B]) as uint8 [B, H, W, 3], RGB."""
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
