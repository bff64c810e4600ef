"""Attribute inference: what the embedding tells of a sample beside what the encoder is for."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, one_draw
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.outputs import EMBEDDING


@dataclass(frozen=True)
class AttributeInference(Reading):
    """The answer to the whole sample, which an attribute is inferred from (ContrastiveLeaks, CCS 2021, Sec. 5).

    Attributes:
        attribute: the label of the samples that is inferred: "class", or an attribute of the data set.
        output: that is read.
    """

    name = "attribute-inference"
    attribute: str = "class"
    output: str = EMBEDDING

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (PlainAnswer(self.output),)

    @property
    def inferred(self) -> str:
        """See `Reading.inferred`."""
        return self.attribute

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the answer, [S, 1, F]."""
        (signal,) = self.signals
        return one_draw(evidence.values[signal.name].astype(np.float32))
