"""One distillation from beginning to end, as a worker is told it: teach, then judge samples by the snapshots."""

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.disagreement import Disagreement, pool
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import METRICS
from latentprint.attack_engine.models.distil import DistillationSet, distil
from latentprint.attack_engine.models.metric_sequences import (
    answers_in_chunks,
    disagreement_sequence,
    posterior_sequence,
)
from latentprint.attack_engine.models.snapshots import SnapshotStore
from latentprint.attack_engine.models.stacked_snapshots import StackedSnapshots
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import Student, StudentSpec, placed
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_arrays
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically
from latentprint.core.outputs import FEATURE_MAP, POSTERIOR
from latentprint.core.threads import using_threads

_BANK = 500
_STUDENT = 5


@dataclass(frozen=True)
class DistillationWork:
    """What a worker needs to distil one model and to judge samples.

    Attributes:
        title: what it is called while it runs.
        options: how the model is imitated.
        student: what imitates it.
        lesson: the distillation samples, with the model's answers.
        judged: the samples whose sequences are wanted, with the model's answers.
        seed: of the student and of the order of the samples.
        folder: where snapshots and sequences go.
        key: digest of all that the snapshots depend on.
    """

    title: str
    options: Distillation
    student: StudentSpec
    lesson: StoredAnswers
    judged: StoredAnswers
    seed: int
    folder: Path
    key: str

    @property
    def result(self) -> Path:
        """The sequences, for `read_sequence`."""
        return self.folder / f"sequence-{digest_arrays(ids=self.judged.ids)[:16]}.npz"

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return self.result.exists()

    @property
    def total(self) -> int:
        """Epochs."""
        return self.options.epochs

    @property
    def done(self) -> int:
        """Epochs whose snapshots are there."""
        return len(list(self.folder.glob("snapshot-*.safetensors")))

    def run(self) -> None:
        """Distil, or go on, and write the sequences. Raises `LatentprintError` for what a user can mend."""
        with using_threads(1):
            store = SnapshotStore(self.folder)
            student = taught(self, store)
            states = [store.read(epoch) for epoch in range(self.options.epochs)]
            self._write(self._sequence(StackedSnapshots(student, states)))

    def _sequence(self, snapshots: StackedSnapshots) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        dataset, answers = opened(self.judged.dataset), self.judged.answers()
        if self.options.output == POSTERIOR:
            return posterior_sequence(snapshots, dataset, self.judged.ids, answers), METRICS
        measure = self._disagreement(snapshots)
        return disagreement_sequence(snapshots, dataset, self.judged.ids, answers, measure), measure.metrics

    def _disagreement(self, snapshots: StackedSnapshots) -> Disagreement:
        """Against a bank of distillation samples."""
        maps = self.options.output == FEATURE_MAP
        bank = self.lesson.some(_BANK)
        parts = [
            pool(answer.double().cpu().numpy(), maps=maps)
            for _, answer in answers_in_chunks(snapshots, opened(bank.dataset), bank.ids)
        ]
        teacher = bank.answers().astype(np.float64)
        return Disagreement(pool(teacher, maps=maps), np.concatenate(parts, axis=1), maps)

    def _write(self, result: tuple[NDArray[np.float32], tuple[str, ...]]) -> None:
        sequence, metrics = result
        buffer = io.BytesIO()
        np.savez(buffer, sample_id=self.judged.ids, sequence=sequence, metrics=np.array(metrics))
        write_atomically(self.result, buffer.getvalue())


def taught(work: DistillationWork, store: SnapshotStore) -> Student:
    """The student of `work` after its distillation, on the device that it was taught on."""
    dataset, answers = opened(work.lesson.dataset), work.lesson.answers()
    shapes = answers.shape[1:], dataset.sample_shape
    student = placed(Student(work.student, work.options.output, *shapes, _seed(work.seed)))
    lesson = DistillationSet(np.ascontiguousarray(dataset.images(work.lesson.ids)), answers)
    distil(student, work.options, lesson, store, key=work.key, seed=work.seed)
    return student


def read_sequence(path: Path, sample_ids: Ids) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Sequences float32 [S, T, M] of `sample_ids` (int64 [S]), and the names of the metrics.

    Raises:
        DataError: a missing or damaged file, or a sample that was not judged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            ids, sequence, metrics = (content[name] for name in ("sample_id", "sequence", "metrics"))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"{path} is missing or damaged ({error}): remove it, and it is made again.") from None
    place = {int(sample): row for row, sample in enumerate(ids)}
    missing = [sample for sample in sample_ids.tolist() if sample not in place]
    if missing:
        raise DataError(f"{len(missing)} samples have no sequence in {path}: remove it, and it is made again.")
    return sequence[[place[sample] for sample in sample_ids.tolist()]], tuple(str(name) for name in metrics)


def _seed(seed: int) -> int:
    return int(np.random.default_rng([seed, _STUDENT]).integers(2**62))
