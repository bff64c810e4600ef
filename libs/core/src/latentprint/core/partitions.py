"""Partitions: one data set, or two, cut into what the owner of a victim has and what its adversary has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Dataset, DatasetSpec, Ids
from latentprint.core.errors import UsageError
from latentprint.core.splits import COIN, DISTILLATION, EVALUATION, KNOWN, UNUSED, USED, VALIDATION, Split

PLACEBO_STREAM = 1  # tells its stream apart from the other draws of a seed
FEWEST_OTHERS = 20  # non-members to measure an encoder's quality on


@dataclass(frozen=True)
class PartSizes:
    """How many samples each part has.

    Attributes:
        members, non_members: of the victim.
        shadow_members, shadow_non_members: of the adversary's shadow model; 0 for an adversary without one.
        distillation: samples to imitate a model with; None takes all that are left.
        validation: the owner's own held-out samples; a shadow model has as many of its own.
        used, unused: candidates, whose membership an audit asks for, that the victim is and is not trained on.
    """

    members: int
    non_members: int
    shadow_members: int = 0
    shadow_non_members: int = 0
    distillation: int | None = None
    validation: int = 0
    used: int = 0
    unused: int = 0

    @property
    def owner(self) -> tuple[int, int, int]:
        """Members, non-members and validation samples."""
        return self.members, self.non_members, self.validation

    def adversary(self, left: int) -> tuple[int, int, int, int]:
        """Shadow members, non-members and validation samples, and distillation samples, of `left` that are left."""
        shadow = self.shadow_members, self.shadow_non_members, self.validation if self.shadow_members else 0
        return *shadow, max(1, left - sum(shadow)) if self.distillation is None else self.distillation


@dataclass(frozen=True)
class Partition:
    """What the owner has and what the adversary has, disjoint.

    Attributes:
        target: the victim's members and non-members, with the owner's validation samples and the candidates.
        shadow: the shadow model's members and non-members, all of them known, with the distillation samples; None for
            an adversary that has nothing of its own.
    """

    target: Split
    shadow: Split | None

    def taken(self, dataset: Dataset) -> Ids:
        """Ids of the samples of `dataset`, which the target is drawn from, that some part has."""
        splits = [self.target]
        if self.shadow is not None and self.shadow.dataset_digest == dataset.digest:
            splits.append(self.shadow)
        return np.concatenate([ids for split in splits for ids in (split.sample_id, *split.further.values())])


def draw_partition(
    dataset: Dataset,
    sizes: PartSizes,
    *,
    seed: int = 0,
    known_fraction: float = 0.0,
    source: DatasetSpec | None = None,
    auxiliary: Dataset | None = None,
    auxiliary_source: DatasetSpec | None = None,
) -> Partition:
    """Draw all parts at random, each with the classes in the data set's own proportions (SeqMIA, Sec. 4.1).

    Args:
        dataset: where the owner's samples come from.
        sizes: of the parts.
        seed: of the draw.
        known_fraction: fraction of the victim's members and non-members that the adversary knows.
        source: how to open `dataset` again.
        auxiliary: where the adversary's samples come from; None takes them from `dataset` too.
        auxiliary_source: how to open `auxiliary` again.

    Raises:
        UsageError: more samples than there are, or a part that has to have samples is empty.
    """
    check_sizes(sizes, known_fraction)
    order = stratified_order(dataset, np.random.default_rng(seed))
    owner = (*sizes.owner, sizes.used, sizes.unused)
    if auxiliary is None:
        adversary = sizes.adversary(len(order) - sum(owner))
        _check(dataset, order, (*owner, *adversary))
        rest, other, other_source = order[sum(owner) :], dataset, source
    else:
        rest, other, other_source = (
            stratified_order(auxiliary, np.random.default_rng(seed)),
            auxiliary,
            auxiliary_source,
        )
        adversary = sizes.adversary(len(rest))
        _check(dataset, order, owner)
        _check(auxiliary, rest, adversary)
    members, non_members, validation, used, unused = cut(order, owner)
    shadow_members, shadow_non_members, shadow_validation, distillation = cut(rest, adversary)
    further = {VALIDATION: validation, USED: used, UNUSED: unused}
    target = _split(members, non_members, known_fraction, dataset, seed, source, further)
    theirs = {VALIDATION: shadow_validation, DISTILLATION: distillation}
    shadow = _split(shadow_members, shadow_non_members, 1.0, other, seed, other_source, theirs)
    return Partition(target, shadow)


def draw_placebo(
    dataset: Dataset, partition: Partition, *, seed: int = 0, source: DatasetSpec | None = None
) -> Split | None:
    """Draw samples for an encoder that is made like the victim and saw none of the samples of `partition`.

    As many members and validation samples as the victim has, and as many non-members, to measure the encoder on, as are
    left, with the classes in the data set's own proportions.

    Args:
        dataset: where the owner's samples come from.
        partition: the victim's.
        seed: of the draw.
        source: how to open `dataset` again.

    Returns:
        None where too few samples are left.
    """
    target = partition.target
    order = stratified_order(dataset, np.random.default_rng([seed, PLACEBO_STREAM]))
    left = order[~np.isin(order, partition.taken(dataset))]
    members, validation = len(target.trained_ids), len(target.validation)
    others = min(len(left) - members - validation, len(target.ids(member=False)))
    if others < FEWEST_OTHERS:
        return None
    own, held_out, non_members = cut(left, (members, validation, others))
    return _split(own, non_members, 0.0, dataset, seed, source, {VALIDATION: held_out})


def stratified_order(dataset: Dataset, rng: np.random.Generator) -> Ids:
    """All sample ids, int64 [len], in a random order whose every stretch has the classes in their proportions."""
    label = dataset.labels["class"]
    order = rng.permutation(len(dataset))
    place = np.empty(len(order))
    for value in np.unique(label):
        rows = np.flatnonzero(label[order] == value)
        place[rows] = (np.arange(len(rows)) + rng.random(len(rows))) / len(rows)
    return order[np.argsort(place, kind="stable")].astype(np.int64)


def check_sizes(sizes: PartSizes, known_fraction: float) -> None:
    """Raise `UsageError` for a part that may not be empty and is, or a fraction out of range."""
    shadow = sizes.shadow_members, sizes.shadow_non_members
    if min(sizes.members, sizes.non_members) < 1 or (max(shadow) > 0 and min(shadow) < 1):
        raise UsageError("A partition needs members and non-members of the victim, and both or none of the shadow.")
    if not 0 <= known_fraction < 1:
        raise UsageError(f"known_fraction must be at least 0 and below 1, not {known_fraction:g}.")


def _check(dataset: Dataset, order: Ids, sizes: tuple[int, ...]) -> None:
    if sum(sizes) > len(order):
        raise UsageError(
            f"The partition needs {sum(sizes)} samples of {dataset.name!r}, which has {len(order)}: make its parts "
            "smaller or the data set larger."
        )


def cut(order: Ids, sizes: tuple[int, ...]) -> list[Ids]:
    """The first of `order`, in pieces of these sizes."""
    return np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])


def _split(
    members: Ids,
    non_members: Ids,
    known_fraction: float,
    dataset: Dataset,
    seed: int,
    source: DatasetSpec | None,
    further: dict[str, Ids],
) -> Split:
    ids = np.concatenate([members, non_members])
    member = np.arange(len(ids)) < len(members)
    role = np.concatenate([roles(len(side), known_fraction) for side in (members, non_members)])
    kept = {purpose: np.sort(samples) for purpose, samples in further.items() if len(samples)}
    place = np.argsort(ids)
    return Split(ids[place], member[place], role[place], dataset.digest, seed, source, kept, COIN)


def roles(count: int, known_fraction: float) -> NDArray[np.str_]:
    """The role of each of one side, str [count]: the first `known_fraction` are known."""
    known = round(count * known_fraction)
    return np.where(np.arange(count) < known, KNOWN, EVALUATION).astype(np.str_)
