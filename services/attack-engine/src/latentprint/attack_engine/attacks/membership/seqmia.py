"""SeqMIA (CCS 2024), and TrajectoryMIA before it: metrics of the posterior over distilled snapshots."""

from dataclasses import dataclass, field

import numpy as np

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import Rows, one_draw
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import METRICS, OF_LABEL
from latentprint.attack_engine.evidence.sequence_figures import sequence_figures
from latentprint.attack_engine.evidence.sequences import chosen_metrics, first_snapshots, shuffled_steps
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.statistics.figures import Figure
from latentprint.core.errors import UsageError
from latentprint.core.outputs import POSTERIOR


@dataclass(frozen=True)
class MetricSequence(PosteriorReading):
    """Metrics of the distilled snapshots in order and, last, of the model itself (SeqMIA, Sec. 3.3).

    Attributes:
        metrics: which, and in which order.
        snapshots: the first so many; None for all.
        shuffled: in one random order, the same for all samples: what a set attack is left with.
        distillation: how the model is imitated.
        seed: of the random order.
    """

    name = "seqmia"
    metrics: tuple[str, ...] = METRICS
    snapshots: int | None = None
    shuffled: bool = False
    distillation: Distillation = field(default_factory=Distillation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.distillation.output != POSTERIOR:
            raise UsageError(f"{self.name}: it distils posteriors; for other outputs there is seqmia-encoder.")
        chosen_metrics(np.zeros((1, 1, len(METRICS))), METRICS, self.metrics)

    @property
    def channels(self) -> int:
        """Metrics a step."""
        return len(self.metrics)

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: two of the metrics are of the sample's own class."""
        return bool(OF_LABEL.intersection(self.metrics))

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: step by step, [S, 1, T * M]."""
        if evidence.sequence is None:
            raise ValueError("a reading of sequences without a sequence")
        sequence = chosen_metrics(evidence.sequence, evidence.metrics, self.metrics)
        if self.snapshots is not None:
            sequence = first_snapshots(sequence, self.snapshots)
        if self.shuffled:
            sequence = shuffled_steps(sequence, self.seed)
        return one_draw(sequence.reshape(len(sequence), -1))

    def figures(self, evidence: Evidence, shown: Rows, member: Rows) -> tuple[Figure, ...]:
        """See `Reading.figures`: of all metrics, in their order."""
        if evidence.sequence is None:
            return ()
        return sequence_figures(evidence.sequence[shown], evidence.metrics, member[shown], ends_with_model=True)
