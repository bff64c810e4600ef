"""How many reference models an attack needs of each kind, and how many of them the design of the folds gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Of the references of a sample.

    Attributes:
        inside: fewest that were trained on it.
        outside: fewest that were not.
        every: whether every sample needs so many; else some have to have them.
    """

    inside: int = 0
    outside: int = 0
    every: bool = True

    def met(self, parts: int, count: int) -> bool:
        """Whether `count` references suffice where each is trained on one of `parts` parts of the samples."""
        low, high = count // parts, -(-count // parts)
        inside, outside = (low, count - high) if self.every else (high, count - low)
        return inside >= self.inside and outside >= self.outside

    def fewest(self, parts: int) -> int:
        """The smallest number of references that suffices with `parts`, at least two."""
        count = 2
        while not self.met(parts, count):
            count += 1
        return count
