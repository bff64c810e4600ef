"""Data sets held in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Ids, Images, Vectors
from latentprint.core.datasets.checks import check_ids
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.digests import digest_arrays
from latentprint.core.errors import DataError, UsageError


@dataclass(frozen=True)
class ArrayDataset:
    """Images and labels as arrays.

    Attributes:
        name: registered name.
        pixels: uint8 [N, H, W, 3], RGB.
        labels: label name to int64 [N].
        digest: SHA-256 (hex) of the images and labels.
        files: which file each sample is, where they are files.
        attributes: labels that are attributes, to the names of their values.
    """

    name: str
    pixels: Images
    labels: Mapping[str, NDArray[np.int64]]
    digest: str
    files: SampleFiles | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of every image."""
        return (*self.image_size, 3)

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


def array_dataset(
    name: str,
    pixels: Images,
    labels: Mapping[str, NDArray[np.int64]],
    attributes: Mapping[str, tuple[str, ...]] | None = None,
) -> ArrayDataset:
    """A data set of `pixels` and `labels`, with the digest of their content; `attributes` name some labels' values."""
    digest = digest_arrays(pixels=pixels, **dict(labels))
    return ArrayDataset(name, pixels, dict(labels), digest, attributes=dict(attributes or {}))


@dataclass(frozen=True)
class VectorDataset:
    """Vectors and labels as arrays.

    Attributes:
        name: registered name.
        vectors: float32 [N, F].
        labels: label name to int64 [N].
        digest: SHA-256 (hex) of the vectors and labels.
        files: which file each sample is, where they are files.
        attributes: labels that are attributes, to the names of their values.
    """

    name: str
    vectors: Vectors
    labels: Mapping[str, NDArray[np.int64]]
    digest: str
    files: SampleFiles | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(features,) of every vector."""
        return self.vectors.shape[1:]

    @property
    def image_size(self) -> tuple[int, int]:
        """Raises `UsageError`: there are no images here."""
        raise UsageError(
            f"{self.name!r} holds vectors of {self.vectors.shape[1]} features, not images: choose a data set of images."
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def images(self, ids: Ids) -> Vectors:
        """The vectors of `ids` (int64 [B]) as float32 [B, F].

        Raises:
            UsageError: an id that the data set does not have.
        """
        check_ids(ids, len(self), self.name)
        return np.asarray(self.vectors[ids])


def vector_dataset(name: str, vectors: Vectors, labels: Mapping[str, NDArray[np.int64]]) -> VectorDataset:
    """A data set of `vectors` (float32 [N, F]) and `labels`, with the digest of their content.

    Raises:
        DataError: no vector, no feature, or a value that is not finite.
    """
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(f"The data set {name!r} holds no vectors: its array has the shape {list(vectors.shape)}.")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"The data set {name!r} holds a value that is not finite, in sample {row}.")
    return VectorDataset(name, vectors, dict(labels), digest_arrays(vectors=vectors, **dict(labels)))
