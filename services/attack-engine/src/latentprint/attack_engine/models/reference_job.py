"""One reference model from beginning to end: trained or distilled, asked, its logits kept, itself forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import scaled_logit
from latentprint.attack_engine.models.distil import DistillationSet, distil
from latentprint.attack_engine.models.job import REFERENCE
from latentprint.attack_engine.models.reference_design import reference_members
from latentprint.attack_engine.models.reference_store import ReferenceLogits, ReferenceStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import Student, StudentSpec, placed
from latentprint.attack_engine.scheduling.task import MAKING, TaskProgress
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.encoders import Encoder
from latentprint.core.outputs import POSTERIOR
from latentprint.core.threads import using_threads
from latentprint.trainer import DefenceSpec, train_encoder

_SEEDS = 1_000_000
_BATCH = 256


@dataclass(frozen=True)
class SampleSet:
    """Samples of one data set, by id."""

    dataset: DatasetSpec
    ids: Ids


@dataclass(frozen=True)
class AssumedTraining:
    """How the victim is trained, as far as the adversary knows.

    Attributes:
        recipe, options, epochs, defences: as for `latentprint.trainer.train`.
        members: of the victim.
        validation: the adversary's own held-out samples, for a defence that learns from them; int64.
    """

    recipe: str
    options: Mapping[str, Any]
    epochs: int
    defences: tuple[DefenceSpec, ...]
    members: int
    validation: Ids


class ReferenceOfSet:
    """What every reference is as a task, however it comes to be: one of a set in a folder, by its number."""

    number: int
    folder: Path
    kind = REFERENCE
    limit = MAKING
    cores = 1.0
    on_gpu = True
    needs = ()
    work = ()

    @property
    def key(self) -> str:
        """See `Task.key`."""
        return f"{self.folder}/{self.number}"

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return ()

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return ReferenceStore(self.folder).path(self.number)

    @property
    def finished(self) -> bool:
        """See `Task.finished`: whether its logits are there."""
        return ReferenceStore(self.folder).has(self.number)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished), unit="models")


@dataclass(frozen=True)
class TrainedReferenceJob(ReferenceOfSet):
    """A reference that is trained as the victim was.

    Attributes:
        title: what its set is called while it runs.
        number: of the reference, from 0.
        training: how it is trained.
        pool: what its training samples are drawn from.
        queried: what it is asked about.
        seed: of the design and, with the number, of the training.
        folder: of the set.
    """

    title: str
    number: int
    training: AssumedTraining
    pool: SampleSet
    queried: tuple[SampleSet, ...]
    seed: int
    folder: Path

    def make(self) -> None:
        """See `Task.make`: train it, ask it, keep its logits alone."""
        training, dataset = self.training, opened(self.pool.dataset)
        members = reference_members(dataset, self.pool.ids, training.members, self.number, self.seed)
        with using_threads(1):
            encoder = train_encoder(
                training.recipe,
                training.options,
                dataset,
                members,
                epochs=training.epochs,
                seed=_SEEDS * (self.seed + 1) + self.number,
                defences=training.defences,
                validation=training.validation if len(training.validation) else None,
            )
            keep_logits(self.number, encoder, SampleSet(self.pool.dataset, members), self.queried, self.folder)


@dataclass(frozen=True)
class DistilledReferenceJob(ReferenceOfSet):
    """A reference that is distilled from a model's answers to half of the distillation samples (EnhancedMIA, D).

    Attributes:
        title, number, queried, seed, folder: as for `TrainedReferenceJob`.
        options: how it is distilled.
        student: its architecture.
        query_set: all distillation samples, with the model's answers.
    """

    title: str
    number: int
    options: Distillation
    student: StudentSpec
    query_set: StoredAnswers
    queried: tuple[SampleSet, ...]
    seed: int
    folder: Path

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.query_set.folder,)

    def make(self) -> None:
        """See `Task.make`; it was trained on none of the samples that matter."""
        dataset = opened(self.query_set.dataset)
        ids = reference_members(dataset, self.query_set.ids, len(self.query_set.ids) // 2, self.number, self.seed)
        part = replace(self.query_set, ids=ids)
        answers = part.answers()
        with using_threads(1):
            seed = _SEEDS * (self.seed + 1) + self.number
            student = placed(Student(self.student, "posterior", answers.shape[1:], dataset.sample_shape, seed))
            examples = DistillationSet(np.ascontiguousarray(dataset.images(ids)), answers)
            distil(student, self.options, examples, None, key="", seed=seed)
            keep_logits(self.number, student.encoder(), None, self.queried, self.folder)


def keep_logits(
    number: int, encoder: Encoder, trained_on: SampleSet | None, queried: tuple[SampleSet, ...], folder: Path
) -> None:
    """Ask a reference about samples of one or more data sets, and keep its logits."""
    logits: dict[str, ReferenceLogits] = {}
    for samples in queried:
        dataset = opened(samples.dataset)
        own = trained_on is not None and opened(trained_on.dataset).digest == dataset.digest
        inside = np.isin(samples.ids, trained_on.ids if trained_on is not None and own else [])
        one = ReferenceLogits(samples.ids, scaled_logits(encoder, dataset, samples.ids), inside)
        logits[dataset.digest] = joined(logits[dataset.digest], one) if dataset.digest in logits else one
    ReferenceStore(folder).write(number, logits)


def joined(one: ReferenceLogits, other: ReferenceLogits) -> ReferenceLogits:
    """The logits of both, of samples that they do not share."""
    return ReferenceLogits(
        np.concatenate([one.sample_id, other.sample_id]),
        np.concatenate([one.phi, other.phi]),
        np.concatenate([one.inside, other.inside]),
    )


@torch.inference_mode()
def scaled_logits(encoder: Encoder, dataset: Dataset, ids: Ids) -> NDArray[np.float32]:
    """Scaled logits float32 [S] of an encoder that answers posteriors, for samples `ids` (int64 [S])."""
    label = dataset.labels["class"][ids]
    parts = [np.zeros(0)]
    for start in range(0, len(ids), _BATCH):
        rows = slice(start, start + _BATCH)
        answer = encoder.answer(np.ascontiguousarray(dataset.images(ids[rows])), (POSTERIOR,))[POSTERIOR]
        parts.append(scaled_logit(answer, label[rows]))
    return np.concatenate(parts).astype(np.float32)
