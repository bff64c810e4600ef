"""What all readings of posteriors share."""

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.posterior_metrics import scaled_logit
from latentprint.attack_engine.evidence.types import Evidence, ReferenceScores
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.outputs import POSTERIOR


class PosteriorReading(Reading):
    """What all readings of posteriors share: one query a sample, fitted on a shadow model where there is one."""

    fitted_on_shadow = True
    answer = PlainAnswer(POSTERIOR)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (self.answer,)

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: most compare with the probability of the sample's own class."""
        return True

    def posterior(self, evidence: Evidence) -> Values:
        """The model's own answers, float32 [S, C]."""
        return evidence.values[self.answer.name]

    def compared(self, evidence: Evidence) -> tuple[NDArray[np.float64], ReferenceScores]:
        """Scaled logits [S] of the model, and what the references give."""
        if evidence.references is None:
            raise ValueError("a comparison without references")
        return scaled_logit(self.posterior(evidence), evidence.label), evidence.references
