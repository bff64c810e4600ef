"""What an adversary holds of samples about one model, put together before any inference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets import Ids


@dataclass(frozen=True)
class ReferenceScores:
    """What K reference models say of S samples.

    Attributes:
        phi: float32 [K, S], scaled logit ln p_y - ln(1 - p_y) of each reference on each sample.
        inside: bool [K, S], whether the reference was trained on the sample.
    """

    phi: NDArray[np.float32]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Population:
    """What is held of Z samples that are no members of the model, to compare others with.

    Attributes:
        posterior: float32 [Z, C] of the model.
        label: int64 [Z].
        references: of the same reference models.
    """

    posterior: NDArray[np.float32]
    label: Ids
    references: ReferenceScores


@dataclass(frozen=True)
class Evidence:
    """What is held of S samples about a target, its untrained twin, or a shadow model.

    Attributes:
        label: int64 [S], class; int64 [0] where the data set has none, for attacks that read none.
        posterior: float32 [S, C], the model's own answers; None where it gives none.
        sequence: float32 [S, T, M], metrics over the distilled snapshots in order; None where nothing was distilled.
        metrics: names of the M metrics.
        references: None where no reference was trained.
        population: None where none is needed.
    """

    label: Ids
    posterior: NDArray[np.float32] | None = None
    sequence: NDArray[np.float32] | None = None
    metrics: tuple[str, ...] = ()
    references: ReferenceScores | None = None
    population: Population | None = None
