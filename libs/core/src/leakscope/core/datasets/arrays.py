"""A data set held in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leakscope.core.datasets.base import Ids, Images
from leakscope.core.datasets.checks import check_ids
from leakscope.core.digests import digest_arrays


@dataclass(frozen=True)
class ArrayDataset:
    """Images and labels as arrays.

    Attributes:
        name: registered name.
        pixels: uint8 [N, H, W, 3], RGB.
        labels: label name to int64 [N].
        digest: SHA-256 (hex) of the images and labels.
    """

    name: str
    pixels: Images
    labels: Mapping[str, NDArray[np.int64]]
    digest: str

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, ids: Ids) -> Images:
        """The images of `ids` (int64 [B]) as uint8 [B, H, W, 3].

        Raises:
            UsageError: an id that the data set does not have.
        """
        check_ids(ids, len(self), self.name)
        return np.asarray(self.pixels[ids])


def array_dataset(name: str, pixels: Images, labels: Mapping[str, NDArray[np.int64]]) -> ArrayDataset:
    """A data set of `pixels` and `labels`, with the digest of their content."""
    return ArrayDataset(name, pixels, dict(labels), digest_arrays(pixels=pixels, **dict(labels)))
