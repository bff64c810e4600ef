"""What a program holds in memory, as a data set: arrays, tensors, and data sets of PyTorch's kind."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.arrays import array_dataset, vector_dataset
from latentprint.core.datasets.base import Dataset, DatasetSpec
from latentprint.core.errors import DataError
from latentprint.core.samples import Samples

NAME = "in memory"
_CLASS = "class"
_FORMS = "uint8 [N, H, W, 3], floats in [0, 1] of the shape [N, H, W, 3] or [N, 3, H, W], or vectors [N, F]"


@runtime_checkable
class Indexed(Protocol):
    """A data set of PyTorch's kind: samples by position, or pairs of a sample and its class."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """One sample, or (sample, class)."""
        ...


class InMemorySpec(DatasetSpec):
    """A data set that is open already; it goes nowhere but where its process goes."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.name, {"samples": len(dataset), "digest": dataset.digest})
        object.__setattr__(self, "_dataset", dataset)

    def open(self) -> Dataset:
        """The data set."""
        dataset: Dataset = self.__dict__["_dataset"]
        return dataset


def in_memory(sides: Sequence[tuple[Samples, NDArray[np.int64] | None]]) -> InMemorySpec:
    """Sides of samples as one data set, one after the other.

    Args:
        sides: of each side the samples, as `as_samples` gives them, and their classes, int64 [N], or None.

    Raises:
        DataError: sides of samples of other shapes, or values that are not finite.
    """
    shapes = {samples.shape[1:] for samples, _ in sides}
    if len(shapes) > 1:
        raise DataError(f"Samples of all sides must have one shape, not {' and '.join(map(str, sorted(shapes)))}.")
    samples = np.concatenate([samples for samples, _ in sides])
    classes = [labels for _, labels in sides if labels is not None]
    labels: Mapping[str, NDArray[np.int64]] = {_CLASS: np.concatenate(classes)} if len(classes) == len(sides) else {}
    make = vector_dataset if samples.ndim == 2 else array_dataset
    return InMemorySpec(make(NAME, samples, labels))


def as_samples(given: Any, what: str) -> tuple[Samples, NDArray[np.int64] | None]:
    """Samples as this package passes them on, and their classes where they are given.

    Args:
        given: an array or a tensor (see the message below for its forms), a pair of one and of classes int64 [N], or a
            data set of PyTorch's kind.
        what: the name of what is given, for messages.

    Returns:
        uint8 [N, H, W, 3] or float32 [N, F]; int64 [N] or None.

    Raises:
        DataError: none of these forms, or nothing in it.
    """
    if isinstance(given, tuple) and len(given) == 2:
        samples = _samples(_array(given[0]), what)
        return samples, _classes(_array(given[1]), len(samples), what)
    if hasattr(given, "__array__") or hasattr(given, "detach"):
        return _samples(_array(given), what), None
    if isinstance(given, Indexed) and not isinstance(given, str | bytes) and len(given):
        return _of_dataset(given, what)
    raise DataError(f"{what} must be {_FORMS}, a pair of these and of classes, or a data set of PyTorch's kind.")


def _of_dataset(given: Indexed, what: str) -> tuple[Samples, NDArray[np.int64] | None]:
    rows = [given[place] for place in range(len(given))]
    if not isinstance(rows[0], tuple | list):
        return _samples(np.stack([_array(row) for row in rows]), what), None
    labels = np.stack([_array(row[1]) for row in rows])
    return _samples(np.stack([_array(row[0]) for row in rows]), what), _classes(labels, len(rows), what)


def _array(value: Any) -> NDArray[Any]:
    """A tensor, an image of Pillow's or an array as an array."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def _classes(values: NDArray[Any], samples: int, what: str) -> NDArray[np.int64]:
    """Classes as int64 [N]: one whole number a sample, from 0 up."""
    whole = values.dtype.kind in "iub" or (values.dtype.kind == "f" and bool((values == np.floor(values)).all()))
    if values.shape != (samples,) or not whole or (samples and values.min() < 0):
        raise DataError(
            f"The classes of {what} are {values.dtype} of the shape {list(values.shape)}: give one whole number from 0 "
            f"up for each of {samples} samples."
        )
    return values.astype(np.int64)


def _samples(values: NDArray[Any], what: str) -> Samples:
    """`values` as uint8 images [N, H, W, 3] or float32 vectors [N, F]."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {values.dtype}, not numbers: samples are {_FORMS}.")
    if values.ndim and not values.size:
        raise DataError(f"{what} holds no samples.")
    if values.ndim == 2:
        return values.astype(np.float32)
    if values.ndim != 4 or 3 not in (values.shape[1], values.shape[3]):
        raise DataError(f"{what} has the shape {list(values.shape)}; samples are {_FORMS}.")
    images = values if values.shape[3] == 3 else values.transpose(0, 2, 3, 1)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if not np.isfinite(images).all():
        row = int(np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))[0])
        raise DataError(f"{what} holds a value that is not finite, in sample {row}.")
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind != "f" or low < 0.0 or high > 1.0:
        raise DataError(
            f"{what} holds {images.dtype} images from {low:g} to {high:g}: give uint8, or floats in [0, 1] as they "
            "are before any normalisation (the model's own mean and deviation are applied when it is asked)."
        )
    return np.ascontiguousarray(np.round(images * 255.0).astype(np.uint8))
