"""Embedding norm: a trained encoder may answer what it has seen with a longer, or a shorter, vector."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, one_draw, same_within_rounding
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.norms import NORMS, p_norms
from latentprint.core.outputs import EMBEDDING


@dataclass(frozen=True)
class EmbeddingNorm(Reading):
    """The Euclidean norm of the embedding of the whole sample; one query, shared with whatever else reads it.

    Attributes:
        sign: 1 where members' embeddings are taken to be the longer ones, -1 where the shorter.
    """

    name = "embedding-norm"
    sign: Literal[1, -1] = 1

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (PlainAnswer(EMBEDDING),)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the norm, [S, 1, 1]."""
        (signal,) = self.signals
        norm = np.linalg.norm(evidence.values[signal.name].astype(np.float64), axis=1)
        return one_draw(self.sign * norm[:, None])

    def unreadable(self, evidence: Evidence) -> str:
        """See `Reading.unreadable`."""
        (signal,) = self.signals
        return normalised_words(evidence.values[signal.name])


def normalised_words(embeddings: Values) -> str:
    """That the lengths of embeddings float32 [S, D] tell nothing, for one of their norms is constant; else ""."""
    norms = p_norms(embeddings)
    constant = [f"{p:g}" for p, column in zip(NORMS, norms.T, strict=True) if same_within_rounding(column[:, None])]
    if not constant or same_within_rounding(embeddings):
        return ""
    which = f"L{'2' if '2' in constant else constant[0]}"
    return (
        f"the endpoint normalises its embeddings: their {which} norm is the same for every sample, so that lengths "
        "tell none from another."
    )
