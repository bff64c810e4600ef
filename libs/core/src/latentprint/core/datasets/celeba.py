"""`celeba`: CelebFaces Attributes, from the official aligned images and lists."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.members import Members, opened
from latentprint.core.datasets.sources import find_source, read_text
from latentprint.core.digests import digest_json
from latentprint.core.errors import DataError, unknown_name
from latentprint.core.samples import Size

ATTRIBUTES = 40
_IMAGES = "img_align_celeba"
_WORDS = ("no", "yes")
_VALUES = {"-1": 0, "1": 1}
_AGAIN = "fetch the official lists again"
_LISTS = ("list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt")
_FOLDERS = ("", "Anno/", "Eval/")  # side by side, or as the official page sorts them


@dataclass(frozen=True)
class CelebAOptions(DecodedOptions):
    """Options of `celeba`.

    Attributes:
        path: the folder that holds img_align_celeba (.zip or extracted), list_attr_celeba.txt, identity_CelebA.txt and
            list_eval_partition.txt, side by side or in Img/, Anno/ and Eval/.
        side: see `DecodedOptions`.
        fit: see `DecodedOptions`.
        cache: see `DecodedOptions`.
        task: the attribute, or the attributes, that make the class: the values of the first count most.
    """

    side: Size = 64
    task: str | tuple[str, ...] = "Smiling"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The attributes that make the class."""
        return (self.task,) if isinstance(self.task, str) else self.task


@DATASETS.register(
    "celeba",
    summary="202,599 faces of 10,177 people, by number; labels: class (the task's), user, split; attributes: 40",
    source="Liu, Luo, Wang & Tang, Deep learning face attributes in the wild, ICCV 2015",
    needs={
        "options": "path, task (Smiling), side (64), fit (crop), cache",
        "files": "img_align_celeba.zip, list_attr_celeba.txt, identity_CelebA.txt, list_eval_partition.txt",
    },
)
def celeba(options: Mapping[str, Any]) -> Dataset:
    """Open `celeba`: faces by number.

    Labels: `class` (of one attribute its value, of several the binary number of their values), `user` (the identities,
    numbered in their order), `split` (0 training, 1 validation, 2 test) and the 40 attributes (0 no, 1 yes), which are
    attributes. Images are decoded once, whatever the task.

    Raises:
        UsageError: a wrong option, or a task that is no attribute.
        DataError: a missing, truncated or foreign file, or an image that cannot be decoded, by name.
    """
    given = from_mapping(CelebAOptions, options, "data set 'celeba'")
    archives = tuple(f"{folder}{_IMAGES}{suffix}" for folder in ("", "Img/") for suffix in (".zip", ""))
    images = find_source(given.path, archives, "the images of CelebA")
    lists = [
        find_source(given.path, tuple(f"{folder}{name}" for folder in _FOLDERS), "a list of CelebA") for name in _LISTS
    ]

    @contextmanager
    def listed() -> Iterator[Listing]:
        with ExitStack() as stack:
            faces = stack.enter_context(opened(images, _IMAGES))
            beside = [stack.enter_context(opened(place.parent)) for place in lists]
            yield _listing(faces, *beside)

    decoded = DecodedOptions(given.path, given.side, given.fit, given.cache)
    whole = open_decoded("celeba", decoded, [images, *lists], celeba, listed)
    for task in given.tasks:
        if task not in whole.attributes:
            raise unknown_name("task of 'celeba'", task, whole.attributes)
    weights = 2 ** np.arange(len(given.tasks))[::-1]
    classes = sum(weight * whole.labels[task] for weight, task in zip(weights, given.tasks, strict=True))
    digest = digest_json({"of": whole.digest, "task": given.tasks})
    return replace(whole, labels={**whole.labels, "class": np.asarray(classes, dtype=np.int64)}, digest=digest)


def _listing(images: Members, attributes: Members, identities: Members, partition: Members) -> Listing:
    names, rows = _attributes(attributes)
    person, split = (_numbers(beside, name) for beside, name in ((identities, _LISTS[1]), (partition, _LISTS[2])))
    faces = sorted(rows)
    for found, where in ((person, _LISTS[1]), (split, _LISTS[2])):
        if odd := sorted(rows.keys() ^ found.keys()):
            raise DataError(f"{_LISTS[0]} and {where} in {attributes.place} do not agree about {odd[0]}: {_AGAIN}.")
    if not rows:
        raise DataError(f"{attributes.where(_LISTS[0])} names no images: {_AGAIN}.")
    places = {PurePosixPath(name).name: name for name in images.names() if name.endswith(".jpg")}
    if odd := sorted(rows.keys() ^ places.keys()):
        side = "lacks" if odd[0] in rows else "holds"
        raise DataError(f"{images.place} {side} {odd[0]}, and {_LISTS[0]} says otherwise: fetch or extract it again.")
    values = np.array([rows[face] for face in faces], dtype=np.int64).T
    _, user = np.unique([person[face] for face in faces], return_inverse=True)
    labels = {name: row.copy() for name, row in zip(names, values, strict=True)}
    labels |= {"user": user.astype(np.int64), "split": np.array([split[face] for face in faces], dtype=np.int64)}
    return Listing([(images, places[face]) for face in faces], labels, dict.fromkeys(names, _WORDS))


def _attributes(members: Members) -> tuple[list[str], dict[str, list[int]]]:
    """The attributes' names, and of each image their values, 0 or 1: a count, the names, then a line an image."""
    lines = [line.split() for line in read_text(members, _LISTS[0]).splitlines() if line.strip()]
    where = members.where(_LISTS[0])
    if len(lines) < 2 or len(set(lines[1])) != ATTRIBUTES:
        raise DataError(f"{where} should name {ATTRIBUTES} attributes in its second line: {_AGAIN}.")
    rows = {}
    for face, *values in lines[2:]:
        if len(values) != ATTRIBUTES or not set(values) <= set(_VALUES):
            raise DataError(f"{where} is damaged at {face}, which should have {ATTRIBUTES} values, -1 or 1: {_AGAIN}.")
        rows[face] = [_VALUES[value] for value in values]
    if lines[0] != [str(len(rows))]:
        raise DataError(f"{where} announces {' '.join(lines[0])} images and names {len(rows)}: {_AGAIN}.")
    return lines[1], rows


def _numbers(members: Members, name: str) -> dict[str, int]:
    """The number of each image in a list of an image and a number a line."""
    try:
        return {face: int(number) for face, number in map(str.split, read_text(members, name).splitlines())}
    except ValueError:
        raise DataError(f"{members.where(name)} is damaged, or no list of images and numbers: {_AGAIN}.") from None
