"""Where the evidence about one model lies: small, picklable, read where a cell is fitted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentprint.attack_engine.evidence.types import Evidence, Population, ReferenceScores
from latentprint.attack_engine.models.distillation_job import read_sequence
from latentprint.attack_engine.models.reference_store import ReferenceStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.signals.signal import Values
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.encoders import POSTERIOR


@dataclass(frozen=True)
class ReferenceFiles:
    """The first `count` reference models of the set in `folder`."""

    folder: Path
    count: int

    def read(self, dataset_digest: str, sample_ids: Ids) -> ReferenceScores:
        """What they said of samples of one data set."""
        return ReferenceStore(self.folder).read(self.count, dataset_digest, sample_ids)


@dataclass(frozen=True)
class EvidenceFiles:
    """What was prepared about one model.

    Attributes:
        dataset: of the judged samples.
        output: what the model was asked for.
        sequence: of the distilled snapshots, or None.
        references: or None.
        population: samples known to be no members, with the model's answers; None where none is needed.
    """

    dataset: DatasetSpec
    output: str
    sequence: Path | None = None
    references: ReferenceFiles | None = None
    population: StoredAnswers | None = None

    def read(self, sample_ids: Ids, answers: Values) -> Evidence:
        """The evidence on `sample_ids` (int64 [S]), to whom the model gave `answers` (float32 [S, K]).

        Raises:
            DataError: something that was prepared is missing or damaged.
        """
        dataset = opened(self.dataset)
        sequence, metrics = (None, ()) if self.sequence is None else read_sequence(self.sequence, sample_ids)
        return Evidence(
            label=_labels(dataset, sample_ids),
            posterior=answers if self.output == POSTERIOR else None,
            sequence=sequence,
            metrics=metrics,
            references=None if self.references is None else self.references.read(dataset.digest, sample_ids),
            population=self._population(),
        )

    def _population(self) -> Population | None:
        if self.population is None or self.references is None:
            return None
        others = opened(self.population.dataset)
        said = self.references.read(others.digest, self.population.ids)
        return Population(self.population.answers(), np.asarray(others.labels["class"][self.population.ids]), said)


def _labels(dataset: Dataset, sample_ids: Ids) -> Ids:
    """The samples' classes, int64 [S]; int64 [0] where there are none, so that nobody reads one that was made up."""
    classes = dataset.labels.get("class")
    return np.zeros(0, dtype=np.int64) if classes is None else np.asarray(classes[sample_ids])
