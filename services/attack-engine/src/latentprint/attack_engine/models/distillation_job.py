"""A student of a model's answers: distilled, then its snapshots compared with the model on the audited samples."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.disagreement import Disagreement, pool
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import METRICS
from latentprint.attack_engine.models.distil import DistillationSet, distil
from latentprint.attack_engine.models.job import DISTIL
from latentprint.attack_engine.models.metric_sequences import (
    answers_in_chunks,
    disagreement_sequence,
    posterior_sequence,
)
from latentprint.attack_engine.models.snapshots import SnapshotStore
from latentprint.attack_engine.models.stacked_snapshots import StackedSnapshots
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import Student, StudentSpec, placed
from latentprint.attack_engine.scheduling.task import MAKING, TaskProgress
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_arrays
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically
from latentprint.core.outputs import FEATURE_MAP, POSTERIOR
from latentprint.core.threads import using_threads

_BANK = 500
_STUDENT = 5


@dataclass(frozen=True)
class DistillationJob:
    """A model distilled into a student, and what the student's snapshots say of the audited samples.

    Attributes:
        title: what it is called while it runs.
        options: how the model is imitated.
        student: what imitates it.
        query_set: the distillation samples, with the model's answers.
        audited: the samples whose sequences are wanted, with the model's answers.
        seed: of the student and of the order of the samples.
        folder: where snapshots and sequences go.
        digest: of all that the snapshots depend on.
    """

    title: str
    options: Distillation
    student: StudentSpec
    query_set: StoredAnswers
    audited: StoredAnswers
    seed: int
    folder: Path
    digest: str
    kind = DISTIL
    limit = MAKING
    cores = 1.0
    on_gpu = True
    needs = ()

    @property
    def key(self) -> str:
        """See `Task.key`."""
        return str(self.result)

    @cached_property
    def result(self) -> Path:
        """See `Task.result`: the sequences, for `read_sequence`."""
        return self.folder / f"sequence-{digest_arrays(ids=self.audited.ids)[:16]}.npz"

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.query_set.folder, self.audited.folder)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return (self.folder,)

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return self.result.exists()

    def progress(self) -> TaskProgress:
        """See `Task.progress`: epochs whose snapshots are there."""
        done = len(list(self.folder.glob("snapshot-*.safetensors")))
        return TaskProgress(done, self.options.epochs, "epochs")

    def make(self) -> None:
        """See `Task.make`: distil, or go on, and write the sequences."""
        with using_threads(1):
            store = SnapshotStore(self.folder)
            student = taught(self, store)
            states = [store.read(epoch) for epoch in range(self.options.epochs)]
            self._write(self._sequence(StackedSnapshots(student, states)))

    def _sequence(self, snapshots: StackedSnapshots) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        dataset, answers = opened(self.audited.dataset), self.audited.answers()
        if self.options.output == POSTERIOR:
            return posterior_sequence(snapshots, dataset, self.audited.ids, answers), METRICS
        measure = self._disagreement(snapshots)
        return disagreement_sequence(snapshots, dataset, self.audited.ids, answers, measure), measure.metrics

    def _disagreement(self, snapshots: StackedSnapshots) -> Disagreement:
        """Against a bank of distillation samples."""
        maps = self.options.output == FEATURE_MAP
        bank = self.query_set.some(_BANK)
        parts = [
            pool(answer.double().cpu().numpy(), maps=maps)
            for _, answer in answers_in_chunks(snapshots, opened(bank.dataset), bank.ids)
        ]
        teacher = bank.answers().astype(np.float64)
        return Disagreement(pool(teacher, maps=maps), np.concatenate(parts, axis=1), maps)

    def _write(self, result: tuple[NDArray[np.float32], tuple[str, ...]]) -> None:
        sequence, metrics = result
        buffer = io.BytesIO()
        np.savez(buffer, sample_id=self.audited.ids, sequence=sequence, metrics=np.array(metrics))
        write_atomically(self.result, buffer.getvalue())


def taught(job: DistillationJob, store: SnapshotStore) -> Student:
    """The student of `job` after its distillation, on the device that it was taught on."""
    dataset, answers = opened(job.query_set.dataset), job.query_set.answers()
    shapes = answers.shape[1:], dataset.sample_shape
    student = placed(Student(job.student, job.options.output, *shapes, _seed(job.seed)))
    query_set = DistillationSet(np.ascontiguousarray(dataset.images(job.query_set.ids)), answers)
    distil(student, job.options, query_set, store, key=job.digest, seed=job.seed)
    return student


def read_sequence(path: Path, sample_ids: Ids) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Sequences float32 [S, T, M] of `sample_ids` (int64 [S]), and the names of the metrics.

    Raises:
        DataError: a missing or damaged file, or a sample that is not among the audited ones.
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
