"""Splits: who is a member, and what each sample is for. Written once, named by digest ever after."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Dataset, DatasetSpec, Ids
from latentprint.core.digests import digest_arrays
from latentprint.core.errors import DataError, UsageError, unknown_name

KNOWN = "known"
EVALUATION = "evaluation"
VALIDATION = "validation"
DISTILLATION = "distillation"
CANDIDATES, USED, UNUSED = "candidates", "used candidates", "unused candidates"
COIN, TIME, SOURCE = "coin", "time", "source"
SPLIT_BY = (COIN, TIME, SOURCE)
FURTHER = (VALIDATION, DISTILLATION, CANDIDATES, USED, UNUSED)
_NONE: Ids = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Units:
    """What is a member or is not, where that is more than one sample: a user with several images, a collection.

    Attributes:
        unit: int64 [S], the unit that each sample belongs to.
        trained: bool [S], True where this very sample was trained on; a member may have samples that were not.
    """

    unit: Ids
    trained: NDArray[np.bool_]

    def check(self, member: NDArray[np.bool_], role: NDArray[np.str_]) -> None:
        """Raise `DataError` unless every unit has one membership and one role, and only members' samples trained."""
        if not len(self.unit) == len(self.trained) == len(member):
            raise DataError(
                f"A split of {len(member)} samples names {len(self.unit)} units and {len(self.trained)} trained marks."
            )
        if (self.trained & ~member).any():
            raise DataError("A split has samples that were trained on and belong to no member: they are members'.")
        _, first, place = np.unique(self.unit, return_index=True, return_inverse=True)
        for values, word in ((member, "membership"), (role, "role")):
            mixed = values != values[first][place]
            if mixed.any():
                raise DataError(f"The unit {self.unit[mixed][0]} of a split has more than one {word}: give it one.")


@dataclass(frozen=True)
class Split:
    """A table of samples.

    Attributes:
        sample_id: int64 [S], unique, the data set's ids.
        member: bool [S], True where the sample's unit is a member: the victim was trained on it, or on some of it.
        role: str [S], "known" (the adversary knows its membership) or "evaluation".
        dataset_digest: digest of the data set that the ids belong to.
        seed: seed of the draw.
        source: how to open that data set again, where it is known; no part of the digest.
        further: ids int64 of samples that are neither members nor non-members of the table, by what they are for:
            "validation" (the owner's, for its training), "distillation" (the adversary's, to imitate the victim with),
            "candidates" (whose membership is asked for), or of those, where an experiment knows it, "used candidates"
            (the victim is trained on them, too) and "unused candidates".
        split_by: how members were told from non-members: "coin" (at random from one set), "time", "source", or "" where
            nobody says; no part of the digest.
        units: what samples belong together; None where every sample is a unit by itself.

    Raises:
        DataError: see `Units.check`; a candidate that is a member or a non-member, too.
    """

    sample_id: Ids
    member: NDArray[np.bool_]
    role: NDArray[np.str_]
    dataset_digest: str
    seed: int
    source: DatasetSpec | None = None
    further: Mapping[str, Ids] = field(default_factory=dict)
    split_by: str = ""
    units: Units | None = None

    def __post_init__(self) -> None:
        if self.units is not None:
            self.units.check(self.member, self.role)
        both = np.intersect1d(self.candidates, self.sample_id)
        if len(both):
            raise DataError(
                f"The sample {both[0]} of a split is a candidate, and its membership is known: it cannot be."
            )

    @property
    def unit(self) -> Ids:
        """The unit that each sample belongs to, which is what audits count, permute and draw: int64 [S]."""
        return self.sample_id if self.units is None else self.units.unit

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Whether the victim was trained on this very sample, which is all that the trainer reads: bool [S]."""
        return self.member if self.units is None else self.units.trained

    def by_unit(self) -> "Split":
        """The same split with one row a unit, by ascending unit: `sample_id` is the unit's id; itself without units."""
        if self.units is None:
            return self
        unit, first = np.unique(self.unit, return_index=True)
        return replace(self, sample_id=unit, member=self.member[first], role=self.role[first], units=None)

    @property
    def trained_ids(self) -> Ids:
        """Ids of the samples that the victim is trained on, in table order; then the used candidates."""
        return np.concatenate([self.sample_id[self.trained], self.further.get(USED, _NONE)])

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the table, the further samples and the data set's digest included.

        Units are part of it where there are any, so that a split without them keeps the digest that it always had.
        """
        units = {} if self.units is None else {"unit": self.units.unit, "trained": self.units.trained}
        return digest_arrays(
            **units,
            sample_id=self.sample_id,
            member=self.member,
            known=self.role == KNOWN,
            dataset=np.frombuffer(self.dataset_digest.encode(), dtype=np.uint8),
            **{f"further_{purpose}": ids for purpose, ids in self.further.items()},
        )

    @property
    def validation(self) -> Ids:
        """The owner's own held-out samples, int64 [V]; empty where there are none."""
        return self.further.get(VALIDATION, _NONE)

    @property
    def distillation(self) -> Ids:
        """The samples that an adversary imitates a model with, int64 [Q]; empty where there are none."""
        return self.further.get(DISTILLATION, _NONE)

    @property
    def candidates(self) -> Ids:
        """The samples whose membership is asked for, ascending, int64 [n]; empty where there are none."""
        return np.sort(np.concatenate([self.further.get(kind, _NONE) for kind in (CANDIDATES, USED, UNUSED)]))

    @property
    def used(self) -> NDArray[np.bool_] | None:
        """Whether the victim is trained on each of `candidates`, bool [n]; None where nobody knows."""
        return None if CANDIDATES in self.further else np.isin(self.candidates, self.further.get(USED, _NONE))

    @property
    def asked(self) -> Ids:
        """The samples that the victim is asked about: the table's, then the candidates; int64 [S + n]."""
        return np.concatenate([self.sample_id, self.candidates])

    def stated(self, split_by: str) -> "Split":
        """The same split, stated to have been made by `split_by`. Raises `UsageError` for none of `SPLIT_BY`."""
        if split_by not in SPLIT_BY:
            raise unknown_name("way to split", split_by, SPLIT_BY)
        return replace(self, split_by=split_by)

    def ids(self, *, member: bool | None = None, role: str | None = None) -> Ids:
        """Sample ids of one membership and role (`None`: any), in table order."""
        keep = np.ones(len(self.sample_id), dtype=bool)
        if member is not None:
            keep &= self.member == member
        if role is not None:
            keep &= self.role == role
        return self.sample_id[keep]

    def open_dataset(self) -> Dataset:
        """Open the data set that the split was drawn from.

        Raises:
            UsageError: the split does not say which; DataError: it has changed since.
        """
        if self.source is None:
            raise UsageError("The split does not say which data set it was drawn from: name the data set.")
        dataset = self.source.open()
        self.check(dataset)
        return dataset

    def check(self, dataset: Dataset) -> None:
        """Raise `DataError` unless this split was drawn from `dataset`."""
        if self.dataset_digest != dataset.digest:
            raise DataError(
                f"The split {self.digest[:12]} was drawn from a data set with digest {self.dataset_digest[:12]}, "
                f"but {dataset.name!r} has digest {dataset.digest[:12]}: give the data set (and its options) "
                "that the split was made from, or draw a new split."
            )


def draw_split(
    dataset: Dataset,
    *,
    members: int,
    non_members: int,
    known_fraction: float = 0.5,
    seed: int = 0,
    source: DatasetSpec | None = None,
) -> Split:
    """Draw members and non-members at random from one data set, alike in every other way.

    A `known_fraction` of each is known to the adversary (the partial setting), the rest is evaluated.

    Raises:
        UsageError: more samples asked for than the data set has, or a side of a half left empty.
    """
    total = members + non_members
    if total > len(dataset):
        raise UsageError(
            f"A split of {members} members and {non_members} non-members needs {total} samples; "
            f"{dataset.name!r} has {len(dataset)}."
        )
    ids = np.random.default_rng(seed).permutation(len(dataset))[:total].astype(np.int64)
    drawn = _with_roles(ids, np.arange(total) < members, dataset, known_fraction, seed, source)
    return replace(drawn, split_by=COIN)


def split_by_membership(
    dataset: Dataset,
    member: NDArray[np.bool_],
    *,
    candidate: NDArray[np.bool_] | None = None,
    known_fraction: float = 0.5,
    seed: int = 0,
    source: DatasetSpec | None = None,
) -> Split:
    """The split of all of a data set whose membership is given: bool [len(dataset)], by sample id.

    Which samples the adversary knows is drawn at random. Those that are `candidate` (bool [len(dataset)]) are on
    neither side: their membership is asked for.

    Raises:
        UsageError: a side of a half is left empty.
    """
    ids = np.random.default_rng(seed).permutation(len(dataset)).astype(np.int64)
    if candidate is None:
        return _with_roles(ids, member[ids], dataset, known_fraction, seed, source)
    ids = ids[~candidate[ids]]
    drawn = _with_roles(ids, member[ids], dataset, known_fraction, seed, source)
    return replace(drawn, further={CANDIDATES: np.flatnonzero(candidate).astype(np.int64)})


def _with_roles(
    ids: Ids, member: NDArray[np.bool_], dataset: Dataset, known_fraction: float, seed: int, source: DatasetSpec | None
) -> Split:
    """Give the first `known_fraction` of either side, in the order of `ids`, to the adversary."""
    role = np.full(len(ids), EVALUATION)
    for side, word in ((True, "members"), (False, "non-members")):
        rows = np.flatnonzero(member == side)
        known = round(len(rows) * known_fraction)
        if not 0 < known < len(rows):
            raise UsageError(
                f"known_fraction {known_fraction} of {len(rows)} {word} leaves none known or none to evaluate."
            )
        role[rows[:known]] = KNOWN
    order = np.argsort(ids)
    return Split(ids[order], member[order], role[order], dataset.digest, seed, source)
