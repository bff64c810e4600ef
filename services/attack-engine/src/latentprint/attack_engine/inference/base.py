"""What an inference model is, and the standardisation that most of them start with."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = NDArray[np.float32]
Membership = NDArray[np.bool_]
Scores = NDArray[np.float64]

BOTH_SIDES, MEMBERS_ALONE = (True, False), (True,)  # whose known samples a model is fitted to; True for members


class Scorer(Protocol):
    """A fitted inference model. Higher scores mean member; `threshold` is its own decision."""

    @property
    def threshold(self) -> float:
        """Score at or above which a sample is called a member."""
        ...

    def score(self, features: Features) -> Scores:
        """Scores float64 [S] of features float32 [S, K]."""
        ...


@runtime_checkable
class Decider(Protocol):
    """A scorer whose decision is not one threshold on its score."""

    def decide(self, features: Features) -> Membership:
        """Who is called a member, bool [S], of features float32 [S, K]."""
        ...


class InferenceModel(Protocol):
    """Fits features of known membership."""

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> Scorer:
        """Fit on float32 [S, K] and bool [S]; all randomness from `rng`."""
        ...


class OneClass:
    """What an inference model derives from that is fitted to members alone, as a density is.

    No non-member is known to it, so that all of them can be evaluated.
    """


@dataclass(frozen=True)
class Standardiser:
    """Centre and scale, from the known samples alone."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, features: Features) -> "Standardiser":
        """Statistics of each entry of `features` [S, K]; a constant entry keeps its scale."""
        values = features.astype(np.float64)
        deviation = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    @classmethod
    def of_all(cls, features: Features) -> "Standardiser":
        """Statistics of all entries of `features` [S, K] together, for a model that treats them alike."""
        return cls.of(features.reshape(-1, 1))

    @classmethod
    def off(cls) -> "Standardiser":
        """Leaves features as they are."""
        return cls(np.zeros(1), np.ones(1))

    def __call__(self, features: Features) -> NDArray[np.float64]:
        """Standardised features float64 [S, K]."""
        return (features.astype(np.float64) - self.mean) / self.scale

    def tensor(self, features: Features) -> Tensor:
        """Standardised features as a tensor, float32 [S, K]."""
        return torch.from_numpy(self(features).astype(np.float32))
