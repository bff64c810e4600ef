"""What an adversary holds of samples about one model, put together before any inference."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets import Ids
from latentprint.core.splits import Units


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
        values: float32 [S, K] of each of an attack's signals, by the signal's name.
        diagnostics: name to float32 [S, L], what the signals recorded for figures.
        label: int64 [S], class; int64 [0] for attacks that read none, so that nobody reads one that was made up.
        sequence: float32 [S, T, M], metrics over the distilled snapshots in order; None where nothing was distilled.
        metrics: names of the M metrics.
        references: None where no reference was trained.
        population: None where none is needed.
        units: what samples belong together, and which of them were trained on, for attacks that read units; None for
            any other.
    """

    values: Mapping[str, NDArray[np.float32]]
    diagnostics: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    label: Ids = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sequence: NDArray[np.float32] | None = None
    metrics: tuple[str, ...] = ()
    references: ReferenceScores | None = None
    population: Population | None = None
    units: Units | None = None
