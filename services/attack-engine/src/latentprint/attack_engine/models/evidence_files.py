"""Where the evidence about one model lies: small, picklable, read where an attack is fitted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from latentprint.attack_engine.asking.signal_store import read_signals
from latentprint.attack_engine.evidence.types import Evidence, Population, ReferenceScores
from latentprint.attack_engine.models.distillation_job import read_sequence
from latentprint.attack_engine.models.reference_store import ReferenceStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.splits import Split

_NO_LABELS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class ReferenceFiles:
    """The first `count` reference models of the set in `folder`."""

    folder: Path
    count: int

    def read(self, dataset_digest: str, sample_ids: Ids) -> ReferenceScores:
        """Their logits on samples of one data set."""
        return ReferenceStore(self.folder).read(self.count, dataset_digest, sample_ids)


@dataclass(frozen=True)
class EvidenceFiles:
    """What was asked of one model, and what was prepared about it.

    Attributes:
        dataset: of the audited samples.
        signals: the folder of each of an attack's signals, by the signal's name.
        labels: whether the samples' classes are read.
        sequence: of the distilled snapshots, or None.
        references: or None.
        population: samples known to be no members, with the model's answers; None where none is needed.
    """

    dataset: DatasetSpec
    signals: Mapping[str, Path]
    labels: bool = False
    sequence: Path | None = None
    references: ReferenceFiles | None = None
    population: StoredAnswers | None = None

    @property
    def places(self) -> tuple[Path, ...]:
        """The files and folders that hold it."""
        prepared = (self.sequence, None if self.references is None else self.references.folder)
        population = () if self.population is None else (self.population.folder,)
        return (*self.signals.values(), *(place for place in prepared if place is not None), *population)

    def read_split(self, split: Split) -> Evidence:
        """The evidence on the samples of `split`, in their order, with what belongs together. See `read`."""
        return replace(self.read(split.sample_id), units=split.units)

    def read(self, sample_ids: Ids) -> Evidence:
        """The evidence on `sample_ids` (int64 [S]), in their order.

        Raises:
            DataError: something that was asked or prepared is missing or damaged.
        """
        parts = {name: read_signals(folder, sample_ids) for name, folder in self.signals.items()}
        sequence, metrics = (None, ()) if self.sequence is None else read_sequence(self.sequence, sample_ids)
        return Evidence(
            values={name: part.values for name, part in parts.items()},
            diagnostics={name: value for part in parts.values() for name, value in part.diagnostics.items()},
            label=_labels(opened(self.dataset), sample_ids) if self.labels else _NO_LABELS,
            sequence=sequence,
            metrics=metrics,
            references=self._references(sample_ids),
            population=self._population(),
        )

    def _references(self, sample_ids: Ids) -> ReferenceScores | None:
        return None if self.references is None else self.references.read(opened(self.dataset).digest, sample_ids)

    def _population(self) -> Population | None:
        if self.population is None or self.references is None:
            return None
        others = opened(self.population.dataset)
        logits = self.references.read(others.digest, self.population.ids)
        return Population(self.population.answers(), np.asarray(others.labels["class"][self.population.ids]), logits)


def _labels(dataset: Dataset, sample_ids: Ids) -> Ids:
    """The samples' classes, int64 [S]; int64 [0] where there are none."""
    classes = dataset.labels.get("class")
    return _NO_LABELS if classes is None else np.asarray(classes[sample_ids])
