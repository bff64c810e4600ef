"""How close a user's images lie together: training draws together what it is told to be one user."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.attacks.users.unit_reading import UnitReading
from latentprint.attack_engine.signals.answers import PlainAnswer

Distances = Literal["both", "centre", "pairwise"]


@dataclass(frozen=True)
class Compactness(UnitReading):
    """Mean distance of a user's embeddings to their centre, and mean distance of all pairs, both Euclidean.

    Attributes:
        distances: "both" of them, or that to the "centre" or the "pairwise" one alone.

    Source: "User-Level Membership Inference Attack against Metric Embedding Learning", 2022, Eq. 1 and 2.
    """

    distances: Distances = "both"

    name = "compactness"
    answer = PlainAnswer()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`: one embedding an image, which whatever else reads it shares."""
        return (self.answer,)

    def of_probes(self, values: Values) -> Values:
        """See `UnitReading.of_probes`: one draw of one or two distances."""
        both = np.stack([centre_distance(values), pairwise_distance(values)], axis=1)
        chosen = {"both": [0, 1], "centre": [0], "pairwise": [1]}[self.distances]
        return one_draw(both[:, chosen])


def centre_distance(embeddings: Values) -> Values:
    """Mean distance of n embeddings float32 [U, n, D] to their mean, float64 [U]."""
    wide = embeddings.astype(np.float64)
    distances = np.linalg.norm(wide - wide.mean(axis=1, keepdims=True), axis=2)
    return np.asarray(distances.mean(axis=1))


def pairwise_distance(embeddings: Values) -> Values:
    """Mean distance over the pairs of n embeddings float32 [U, n, D], float64 [U]."""
    wide = embeddings.astype(np.float64)
    later, earlier = np.tril_indices(embeddings.shape[1], k=-1)
    return np.asarray(np.stack([np.linalg.norm(one[later] - one[earlier], axis=1).mean() for one in wide]))
