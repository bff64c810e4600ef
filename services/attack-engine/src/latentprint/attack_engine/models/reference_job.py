"""One reference model from beginning to end, as a worker is told it: train, ask, keep what it says, forget it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import scaled_logit
from latentprint.attack_engine.models.distil import DistillationSet, distil
from latentprint.attack_engine.models.reference_design import reference_members
from latentprint.attack_engine.models.reference_store import ReferenceLogits, ReferenceStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import Student, StudentSpec, placed
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.encoders import Encoder
from latentprint.core.outputs import POSTERIOR
from latentprint.core.threads import using_threads
from latentprint.trainer import DefenceSpec, train_encoder

_SEEDS = 1_000_000
_BATCH = 256


@dataclass(frozen=True)
class Samples:
    """Samples of one data set, by id."""

    dataset: DatasetSpec
    ids: Ids


@dataclass(frozen=True)
class Upbringing:
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


@dataclass(frozen=True)
class TrainedReference:
    """A reference that is trained as the victim was.

    Attributes:
        title: what its set is called while it runs.
        number: of the reference, from 0.
        upbringing: how it is trained.
        pool: what its training samples are drawn from.
        asked: whom it is asked about.
        seed: of the design and, with the number, of the training.
        folder: of the set.
    """

    title: str
    number: int
    upbringing: Upbringing
    pool: Samples
    asked: tuple[Samples, ...]
    seed: int
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether what it said is there."""
        return ReferenceStore(self.folder).has(self.number)

    def run(self) -> None:
        """Train it, ask it, keep what it said."""
        brought, dataset = self.upbringing, opened(self.pool.dataset)
        members = reference_members(dataset, self.pool.ids, brought.members, self.number, self.seed)
        with using_threads(1):
            encoder = train_encoder(
                brought.recipe,
                brought.options,
                dataset,
                members,
                epochs=brought.epochs,
                seed=_SEEDS * (self.seed + 1) + self.number,
                defences=brought.defences,
                validation=brought.validation if len(brought.validation) else None,
            )
            keep_said(self.number, encoder, Samples(self.pool.dataset, members), self.asked, self.folder)


@dataclass(frozen=True)
class DistilledReference:
    """A reference that is distilled from a model's answers to half of the distillation samples (EnhancedMIA, D).

    Attributes:
        title, number, asked, seed, folder: as for `TrainedReference`.
        options: how it is distilled.
        student: its architecture.
        lesson: all distillation samples, with the model's answers.
    """

    title: str
    number: int
    options: Distillation
    student: StudentSpec
    lesson: StoredAnswers
    asked: tuple[Samples, ...]
    seed: int
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether what it said is there."""
        return ReferenceStore(self.folder).has(self.number)

    def run(self) -> None:
        """Distil it, ask it, keep what it said: it was trained on none of the samples that matter."""
        dataset = opened(self.lesson.dataset)
        ids = reference_members(dataset, self.lesson.ids, len(self.lesson.ids) // 2, self.number, self.seed)
        part = replace(self.lesson, ids=ids)
        answers = part.answers()
        with using_threads(1):
            seed = _SEEDS * (self.seed + 1) + self.number
            student = placed(Student(self.student, "posterior", answers.shape[1:], dataset.sample_shape, seed))
            lesson = DistillationSet(np.ascontiguousarray(dataset.images(ids)), answers)
            distil(student, self.options, lesson, None, key="", seed=seed)
            keep_said(self.number, student.encoder(), None, self.asked, self.folder)


def keep_said(
    number: int, encoder: Encoder, trained_on: Samples | None, asked: tuple[Samples, ...], folder: Path
) -> None:
    """Ask a reference about samples of one or more data sets, and write what it says of them."""
    said: dict[str, ReferenceLogits] = {}
    for samples in asked:
        dataset = opened(samples.dataset)
        own = trained_on is not None and opened(trained_on.dataset).digest == dataset.digest
        inside = np.isin(samples.ids, trained_on.ids if trained_on is not None and own else [])
        one = ReferenceLogits(samples.ids, scaled_logits(encoder, dataset, samples.ids), inside)
        said[dataset.digest] = joined(said[dataset.digest], one) if dataset.digest in said else one
    ReferenceStore(folder).write(number, said)


def joined(one: ReferenceLogits, other: ReferenceLogits) -> ReferenceLogits:
    """What was said of both, of samples that they do not share."""
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
