"""SeqMIA for endpoints without posteriors: how a student of the embedding comes to agree with its teacher."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, Rows, one_draw
from latentprint.attack_engine.evidence.disagreement import EMBEDDING_METRICS, FEATURE_MAP_METRICS
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.sequence_figures import sequence_figures
from latentprint.attack_engine.evidence.sequences import chosen_metrics
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.statistics.figures import Figure
from latentprint.core.errors import UsageError
from latentprint.core.outputs import FEATURE_MAP, POSTERIOR

_IMITATION = Distillation(output="embedding", optimiser="adamw", learning_rate=1e-3, weight_decay=0.05)


@dataclass(frozen=True)
class DisagreementSequence(Reading):
    """Metrics of the student's disagreement with the endpoint over the snapshots of a distillation.

    Attributes:
        metrics: which, and in which order; empty for all that there are.
        distillation: how the endpoint is imitated, its embedding or its feature map.
    """

    name = "seqmia-encoder"
    fitted_on_shadow = True
    metrics: tuple[str, ...] = ()
    distillation: Distillation = _IMITATION

    def __post_init__(self) -> None:
        if self.distillation.output == POSTERIOR:
            raise UsageError(f"{self.name}: it distils embeddings or feature maps; for posteriors there is seqmia.")
        chosen_metrics(np.zeros((1, 1, len(self._offered))), self._offered, self.metrics or self._offered)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (PlainAnswer(self.distillation.output),)

    @property
    def channels(self) -> int:
        """Metrics a step."""
        return len(self.metrics or self._offered)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: step by step, [S, 1, T * M]."""
        if evidence.sequence is None:
            raise ValueError("a reading of sequences without a sequence")
        sequence = chosen_metrics(evidence.sequence, evidence.metrics, self.metrics or self._offered)
        return one_draw(sequence.reshape(len(sequence), -1))

    def figures(self, evidence: Evidence, shown: Rows, member: Rows) -> tuple[Figure, ...]:
        """See `Reading.figures`: the model does not disagree with itself, so that every step is a snapshot's."""
        if evidence.sequence is None:
            return ()
        return sequence_figures(evidence.sequence[shown], evidence.metrics, member[shown], ends_with_model=False)

    @property
    def _offered(self) -> tuple[str, ...]:
        return FEATURE_MAP_METRICS if self.distillation.output == FEATURE_MAP else EMBEDDING_METRICS
