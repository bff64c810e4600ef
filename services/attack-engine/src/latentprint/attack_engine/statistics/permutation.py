"""Membership exchanged at random between units, which is what a permutation test permutes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import DataError

UnitsOfSides = tuple[NDArray[np.int64], NDArray[np.int64]]  # [M] and [N]


@dataclass(frozen=True)
class Sides:
    """Samples of two sides, members first, and the units that they belong to.

    Attributes:
        member: bool [U], of each unit.
        place: int64 [S], which of the units each sample belongs to.
    """

    member: NDArray[np.bool_]
    place: NDArray[np.int64]

    @classmethod
    def of(cls, members: int, non_members: int, units: UnitsOfSides | None, what: str) -> "Sides":
        """The sides of so many samples.

        Args:
            members: how many samples are members'.
            non_members: how many are others'.
            units: int64 [M] and [N], the units of members and of non-members; None where each sample is its own.
            what: that needs them, for the message.

        Raises:
            DataError: fewer than two units on a side, or one that is on both.
        """
        own = (np.arange(members), np.arange(members, members + non_members)) if units is None else units
        torn = np.intersect1d(*own)
        if torn.size:
            raise DataError(f"{what}: the unit {torn[0]} has samples on both sides; give each unit one membership.")
        named, first, place = np.unique(np.concatenate(own), return_index=True, return_inverse=True)
        order = np.argsort(first)  # of appearance: what units are called decides no draw
        sides = cls(np.isin(named[order], own[0]), np.argsort(order)[place])
        count = int(sides.member.sum()), int((~sides.member).sum())
        if min(count) < 2:
            counted = "samples" if units is None else "units"
            raise DataError(f"{what} needs two {counted} on each side; there are {count[0]} and {count[1]}.")
        return sides

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Membership of each sample, bool [S]."""
        return self.member[self.place]

    def permuted(self, permutations: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """The true membership of the samples, and beside it permuted ones: bool [S, 1 + P].

        Units are permuted, not samples: those of one unit are alike whatever the membership, and permuted one by one
        they would make the true membership look exceptional where nothing is to be found.
        """
        of_units = np.stack([self.member, *(rng.permutation(self.member) for _ in range(permutations))], axis=1)
        return np.asarray(of_units[self.place])

    def folds(self, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """A fold for each sample, int64 [S], one for all of a unit: at most `most`, or as many as a side has units."""
        count = min(most, int(self.member.sum()), int((~self.member).sum()))
        return np.asarray(rng.permutation(np.arange(len(self.member)) % count)[self.place])
