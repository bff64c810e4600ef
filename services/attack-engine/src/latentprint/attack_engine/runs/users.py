"""The users of a live audit: folders with one sub-folder a person, the audited ones and the adversary's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.answer_store import sample_digests
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.users.unit_reading import UnitReading
from latentprint.attack_engine.questions.membership.exposure import file_of
from latentprint.attack_engine.runs.auxiliary import ShadowOptions, architecture_on
from latentprint.attack_engine.runs.samples import published_side
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.datasets.folders import ROOT, folders_spec, paired_folders
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import Size
from latentprint.core.splits import COIN, KNOWN, Split, Units
from latentprint.core.text import printable
from latentprint.core.user_partitions import split_users_by_membership
from latentprint.trainer import make_plan

RECIPE = "triplet"
_TRAINED = 2  # images that a shadow model takes of a member at least: of fewer nobody learns what two have in common
_FEWEST = 20
_TOGETHER = 256  # images in memory at once
_DRAW = 5  # tells its stream apart from the other draws of a seed


def images_a_user(attacks: Sequence[Attack]) -> int:
    """The most images of a user that some of `attacks` reads."""
    return max(attack.reading.images for attack in attacks if isinstance(attack.reading, UnitReading))


def samples_of_user_folders(
    members: Path,
    non_members: Path,
    endpoint: EndpointSpec,
    *,
    images: int,
    side: Size,
    known_fraction: float,
    seed: int,
) -> tuple[DatasetSpec, Split]:
    """`images` images of every person in two folders, brought to `side`, pixels, and their split by people.

    Args:
        members: a folder with a sub-folder for each person whose images were trained on.
        non_members: the same of others.
        endpoint: says what `side` 0 is.
        images: of each person.
        side: of the images.
        known_fraction: of either side's people that the adversary knows.
        seed: of the draw of images and of who is known.

    Raises:
        UsageError: no side is known.
        DataError: images in no sub-folder, a person or an image in both folders, an image of two people, a person with
            too few images.
    """
    size = side or published_side(endpoint)
    spec = folders_spec(members, non_members, size)
    dataset, member = paired_folders(members, non_members, size)
    names = _people(dataset)
    _require_images_of_one(dataset)
    split = split_users_by_membership(
        dataset,
        dataset.labels["class"],
        member,
        probes=images,
        names=names,
        known_fraction=known_fraction,
        seed=seed,
        source=spec,
    )
    return spec, split


def auxiliary_users(folder: Path, audited: DatasetSpec, *, images: int, seed: int) -> tuple[DatasetSpec, Split]:
    """The people in the adversary's `folder`, half of them members of its shadow model.

    Of a member `images` images are kept from training, and asked about afterwards; so many of the others, too.

    Raises:
        DataError: images in no sub-folder, too few people, one of them audited, one with too few images.
    """
    paths = (*audited.options["paths"], str(folder.resolve()))
    spec = DatasetSpec("folders", {**audited.options, "paths": paths})
    dataset = spec.open()
    names, user = _people(dataset), dataset.labels["class"]
    own = dataset.labels[ROOT] == len(paths) - 1
    for one in np.intersect1d(user[own], user[~own])[:1]:
        raise DataError(f"The user {printable(names[one])} is audited and in {printable(folder)}: take them out of it.")
    people, counts = np.unique(user[own], return_counts=True)
    if len(people) < _FEWEST:
        raise DataError(f"{printable(folder)} has {len(people)} users; a shadow model needs at least {_FEWEST}.")
    for one, count in zip(people, counts, strict=True):
        if count < images + _TRAINED:
            raise DataError(
                f"The user {printable(names[one])} in {printable(folder)} has {count} images; a shadow model takes "
                f"{images} to ask about and at least {_TRAINED} to train on: add some, or leave the user out."
            )
    return spec, _shadow_split(np.flatnonzero(own), user, images, dataset.digest, seed, spec)


def users_shadow(options: ShadowOptions, card: EndpointCard) -> ShadowOptions:
    """The training of a shadow model of a metric embedding with this card: of its architecture where it can be."""
    if options.recipe:
        return options
    on_card = architecture_on(card) if card.architecture and "architecture" not in options.options else {}
    known: Mapping[str, Any] = {**on_card, **options.options}
    try:
        make_plan(RECIPE, known, options.epochs)
    except UsageError:  # of the card's architecture it cannot be: the recipe's own is the nearest that there is
        known = options.options
    return ShadowOptions(RECIPE, options.epochs, known)


def _people(dataset: Dataset) -> list[str]:
    """Names of the users 0, 1, ..., of all folders: those of their sub-folders, sorted."""
    files = dataset.files
    if files is None:
        raise ValueError("folders name their files")
    for root, names in zip(files.roots, files.classes, strict=True):
        if not names:
            raise DataError(
                f"{printable(root)} holds images that lie in no sub-folder{_first_loose(files, root)}: give every "
                "user a sub-folder of their own."
            )
    return sorted({name for names in files.classes for name in names})


def _require_images_of_one(dataset: Dataset) -> None:
    """Raise `DataError` where one image is of two people: known of one, it would tell of the other."""
    person, seen = dataset.labels["class"], dict[bytes, int]()
    for start in range(0, len(dataset), _TOGETHER):
        ids = np.arange(start, min(start + _TOGETHER, len(dataset)))
        for sample, digest in zip(ids.tolist(), sample_digests(dataset.images(ids)).tolist(), strict=True):
            first = seen.setdefault(digest, sample)
            if person[first] != person[sample]:
                raise DataError(
                    f"{file_of(dataset, first)} and {file_of(dataset, sample)} show the same image, which cannot be of "
                    "two people: remove one of them."
                )


def _first_loose(files: SampleFiles, root: Path) -> str:
    own = (name for index, name in zip(files.root, files.names, strict=True) if files.roots[index] == root)
    loose = next((name for name in own if len(Path(name).parts) == 1), "")
    return f", such as {printable(loose)}" if loose else ""


def _shadow_split(ids: Ids, user: Ids, images: int, digest: str, seed: int, source: DatasetSpec) -> Split:
    """The split of `ids`: half of their users members, all but `images` images of whom are trained on."""
    rng = np.random.default_rng([seed, _DRAW])
    order = rng.permutation(ids)
    people = rng.permutation(np.unique(user[ids]))
    members = people[: len(people) // 2]
    place = np.empty(len(order), dtype=np.int64)  # of each sample among its user's
    for one in people:
        rows = np.flatnonzero(user[order] == one)
        place[rows] = np.arange(len(rows))
    member = np.isin(user[order], members)
    kept = member | (place < images)
    order, member, trained = order[kept], member[kept], (member & (place >= images))[kept]
    sort = np.argsort(order)
    units = Units(user[order][sort], trained[sort])
    role = np.full(len(order), KNOWN)
    return Split(order[sort], member[sort], role, digest, seed, source, {}, COIN, units)
