"""Dataset inference: a density of the known private images' embeddings, and how likely it makes the others."""

from dataclasses import dataclass

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, one_draw
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer, unit_vectors
from latentprint.core.outputs import EMBEDDING


@dataclass(frozen=True)
class UnitEmbedding(Reading):
    """The embedding of the whole sample, brought to length 1 (Dziedzic et al., NeurIPS 2022); one query."""

    name = "dataset-inference"

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (PlainAnswer(EMBEDDING),)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: [S, 1, D]."""
        (signal,) = self.signals
        return one_draw(unit_vectors(evidence.values[signal.name]))
