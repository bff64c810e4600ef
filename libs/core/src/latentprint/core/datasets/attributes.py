"""Named attributes of samples, and the users that samples belong to: what is asked of them beside their class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Dataset, Ids
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.text import printable

USER, CLASS = "user", "class"


@dataclass(frozen=True)
class Attribute:
    """What a sample shows of one kind, such as a race or a place.

    Attributes:
        name: the label's.
        values: int64 [len(dataset)], by sample id, from 0 up to one less than there are classes.
        classes: the values' names, each once, in order.
    """

    name: str
    values: NDArray[np.int64]
    classes: tuple[str, ...]


def attribute(dataset: Dataset, name: str) -> Attribute:
    """An attribute of a data set.

    Raises:
        UsageError: the data set has no such attribute; the message names those that it has.
    """
    known = dataset.attributes
    if not known:
        instead = f"take {CLASS!r}, or choose one" if CLASS in dataset.labels else "choose one"
        raise UsageError(f"The data set {dataset.name!r} has no attributes: {instead} that has, such as 'composites'.")
    if name not in known:
        raise unknown_name("attribute", name, known)
    return Attribute(name, dataset.labels[name], known[name])


def labelled(dataset: Dataset, name: str) -> Attribute:
    """An attribute, or the samples' class, whose values go by their folders' names, or by their numbers.

    Raises:
        UsageError: see `attribute`.
    """
    if name != CLASS or CLASS not in dataset.labels:
        return attribute(dataset, name)
    classes = dataset.labels[CLASS]
    count = int(classes.max()) + 1
    folders = () if dataset.files is None else sorted({one for names in dataset.files.classes for one in names})
    named = folders if len(folders) == count else map(str, range(count))
    return Attribute(name, classes, tuple(map(printable, named)))


def users(dataset: Dataset) -> Ids:
    """The user that each sample belongs to, int64 [len(dataset)], by sample id.

    Raises:
        UsageError: the data set does not say whose its samples are.
    """
    if USER not in dataset.labels:
        raise UsageError(
            f"The data set {dataset.name!r} does not say whose its samples are: choose one with the label 'user', such "
            "as 'identities'."
        )
    return dataset.labels[USER]
