"""Partitions by users: whose images a victim is trained on, on which of them, and whose it is not.

Three groups of images (User-Level Membership Inference Attack against Metric Embedding Learning, 2022, Sec. 3.1):
training members (`trained`), non-training members (a member's other images), and non-members (other users' images).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.checks import require
from latentprint.core.datasets.attributes import users
from latentprint.core.datasets.base import Dataset, DatasetSpec, Ids
from latentprint.core.errors import DataError, UsageError
from latentprint.core.partitions import FEWEST_OTHERS, PLACEBO_STREAM, Partition, PartSizes, check_sizes, cut, roles
from latentprint.core.splits import COIN, DISTILLATION, VALIDATION, Split, Units
from latentprint.core.text import printable


@dataclass(frozen=True)
class UserImages:
    """How many images of each user a split has.

    Attributes:
        trained_images: of a member, that the victim is trained on.
        probes: of everybody, members and others alike, that nothing is trained on.
    """

    trained_images: int = 16
    probes: int = 8

    def __post_init__(self) -> None:
        require(self.trained_images >= 1, "trained_images", self.trained_images, "at least 1")
        require(self.probes >= 1, "probes", self.probes, "at least 1")

    @property
    def needed(self) -> int:
        """Images that a user must have to be drawn: as many of non-members as of members, so that both are alike."""
        return self.trained_images + self.probes


def draw_user_partition(
    dataset: Dataset,
    sizes: PartSizes,
    images: UserImages,
    *,
    seed: int = 0,
    known_fraction: float = 0.5,
    source: DatasetSpec | None = None,
    auxiliary: Dataset | None = None,
    auxiliary_source: DatasetSpec | None = None,
) -> Partition:
    """Draw the users of all parts at random, no user in two of them, from those that have enough images.

    Args:
        dataset: where the owner's users come from.
        sizes: of the parts, in users. Of those for validation and distillation, all `images.needed` images are taken.
        images: of each user.
        seed: of the draw.
        known_fraction: fraction of the victim's member and non-member users that the adversary knows.
        source: how to open `dataset` again.
        auxiliary: where the adversary's users come from; None takes them from `dataset` too.
        auxiliary_source: how to open `auxiliary` again.

    Returns:
        Splits with units, whose role is a user's; the shadow is None for an adversary that has no part.

    Raises:
        UsageError: more users than have enough images, or a part that has to have users is empty.
    """
    check_sizes(sizes, known_fraction)
    album = _Album.of(dataset, images, seed)
    theirs = album if auxiliary is None else _Album.of(auxiliary, images, seed)
    owner = sizes.owner
    left = album.users[sum(owner) :] if auxiliary is None else theirs.users
    adversary = sizes.adversary(len(left))
    album.check(sum(owner) + (sum(adversary) if auxiliary is None else 0))
    theirs.check(sum(adversary))
    members, non_members, validation = cut(album.users, owner)
    target = album.split(members, non_members, known_fraction, source, {VALIDATION: validation})
    if not sum(adversary):
        return Partition(target, None)
    shadow_members, shadow_non_members, held_out, distillation = cut(left, adversary)
    further = {VALIDATION: held_out, DISTILLATION: distillation}
    return Partition(target, theirs.split(shadow_members, shadow_non_members, 1.0, auxiliary_source or source, further))


def draw_user_placebo(
    dataset: Dataset, partition: Partition, images: UserImages, *, seed: int = 0, source: DatasetSpec | None = None
) -> Split | None:
    """Draw users for an encoder that is made like the victim and saw none of the users of `partition`.

    As many members and users for validation as the victim has, and as many non-members, to measure the encoder on, as
    are left; None where too few users are. Arguments as of `draw_user_partition`.
    """
    album = _Album.of(dataset, images, seed, PLACEBO_STREAM)
    user, taken = users(dataset), partition.taken(dataset)
    left = album.users[~np.isin(album.users, user[taken])]
    target = partition.target
    members, others = (len(np.unique(target.unit[target.member == side])) for side in (True, False))
    held_out = len(np.unique(user[target.validation]))
    others = min(len(left) - members - held_out, others)
    if others * images.probes < FEWEST_OTHERS:
        return None
    own, validation, non_members = cut(left, (members, held_out, others))
    return album.split(own, non_members, 0.0, source, {VALIDATION: validation})


def split_users_by_membership(
    dataset: Dataset,
    user: Ids,
    member: NDArray[np.bool_],
    *,
    probes: int,
    names: Sequence[str] = (),
    known_fraction: float = 0.5,
    seed: int = 0,
    source: DatasetSpec | None = None,
) -> Split:
    """The split of all users of a data set whose membership is given, `probes` images of each, drawn at random.

    Which images were trained on nobody says, so none counts as such.

    Args:
        dataset: the samples.
        user: int64 [len(dataset)], whose each sample is.
        member: bool [len(dataset)], whether that user is a member.
        probes: images of each user.
        names: of the users 0, 1, ..., for messages; none: their numbers.
        known_fraction: fraction of either side's users that the adversary knows.
        seed: of the draw.
        source: how to open `dataset` again.

    Raises:
        DataError: a user in both groups or with fewer images than `probes`, by name.
        UsageError: a side of a half is left empty.
    """
    sides = [np.unique(user[member == side]) for side in (True, False)]
    for one in np.intersect1d(sides[0], sides[1])[:1]:
        raise DataError(f"The user {_named(one, names)} is a member and a non-member: take them out of one group.")
    counts = np.bincount(user)
    for one in np.flatnonzero((counts > 0) & (counts < probes))[:1]:
        raise DataError(
            f"The user {_named(one, names)} has {counts[one]} images, and {probes} of each are asked about: add some, "
            "leave the user out, or ask about fewer."
        )
    rng = np.random.default_rng(seed)
    members, non_members = (rng.permutation(side) for side in sides)
    for side, word in ((members, "members"), (non_members, "non-members")):
        if not 0 < round(len(side) * known_fraction) < len(side):
            raise UsageError(
                f"known_fraction {known_fraction} of {len(side)} {word} leaves no user known or evaluated."
            )
    album = _Album(dataset, user, _place(user, rng), UserImages(probes=probes), np.unique(user), seed, first=0)
    return album.split(members, non_members, known_fraction, source, {}, split_by="")


@dataclass(frozen=True)
class _Album:
    """Users with enough images, in a random order, and a random order of the images of each.

    Attributes:
        user: int64 [N], whose each sample is.
        place: int64 [N], of each sample among its user's.
        users: int64 [U], those with enough images.
        first: place of a user's first probe; those before it are what a member is trained on.
    """

    dataset: Dataset
    user: Ids
    place: Ids
    images: UserImages
    users: Ids
    seed: int
    first: int

    @classmethod
    def of(cls, dataset: Dataset, images: UserImages, seed: int, *stream: int) -> "_Album":
        rng = np.random.default_rng([seed, *stream])
        user = users(dataset)
        enough = np.flatnonzero(np.bincount(user) >= images.needed)
        return cls(dataset, user, _place(user, rng), images, rng.permutation(enough), seed, images.trained_images)

    def check(self, wanted: int) -> None:
        """Raise `UsageError` where fewer than `wanted` users have enough images."""
        if wanted <= len(self.users):
            return
        counts = np.bincount(self.user)
        few = [f"user {one} has {counts[one]}" for one in np.flatnonzero((counts > 0) & (counts < self.images.needed))]
        such = f" ({few[0]})" if few else ""
        raise UsageError(
            f"The split needs {wanted} users of {self.dataset.name!r} with {self.images.needed} images each "
            f"({self.images.trained_images} trained on, {self.images.probes} probes), and {len(self.users)} of "
            f"{(counts > 0).sum()} have as many{such}: ask for fewer users or images."
        )

    def split(
        self,
        members: Ids,
        non_members: Ids,
        known_fraction: float,
        source: DatasetSpec | None,
        further: dict[str, Ids],
        split_by: str = COIN,
    ) -> Split:
        """The split of these users; the first `known_fraction` of either side are known."""
        last = self.first + self.images.probes
        of_members, of_others = np.isin(self.user, members), np.isin(self.user, non_members)
        probe = (self.place >= self.first) & (self.place < last)
        trained = of_members & (self.place < self.first)
        ids = np.flatnonzero(trained | ((of_members | of_others) & probe))
        role = np.empty(int(self.user.max()) + 1, dtype="<U10")
        for side in (members, non_members):
            role[side] = roles(len(side), known_fraction)
        kept = {
            purpose: np.flatnonzero(np.isin(self.user, of) & (self.place < last))
            for purpose, of in further.items()
            if len(of)
        }
        units = Units(self.user[ids], trained[ids])
        digest = self.dataset.digest
        return Split(ids, of_members[ids], role[self.user[ids]], digest, self.seed, source, kept, split_by, units)


def _place(user: Ids, rng: np.random.Generator) -> Ids:
    """Each sample's place, int64 [N], in a random order of its user's samples."""
    shuffled = rng.permutation(len(user))
    grouped = shuffled[np.argsort(user[shuffled], kind="stable")]
    starts = np.cumsum(np.bincount(user)) - np.bincount(user)
    place = np.empty(len(user), dtype=np.int64)
    place[grouped] = np.arange(len(user)) - starts[user[grouped]]
    return place


def _named(user: int, names: Sequence[str]) -> str:
    return printable(names[user]) if names else str(user)
