"""A stolen encoder: a student of an endpoint's embeddings, as a bundle that can be served and audited."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.asking.plan import ExtractionPlan
from latentprint.attack_engine.models.distil import DistillationSet
from latentprint.attack_engine.models.job import STEAL, ModelStore
from latentprint.attack_engine.models.stealing import EPOCHS, Stealing, steal, student_spec
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import Student, placed
from latentprint.attack_engine.scheduling.task import MAKING, TaskProgress
from latentprint.attack_engine.statistics.fidelity import Fidelity, fidelity
from latentprint.core.bundles import CARD, BundleCard, save_bundle
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import Dataset, Ids
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.encoders import Encoder
from latentprint.core.files import writing
from latentprint.core.outputs import EMBEDDING
from latentprint.core.text import printable
from latentprint.core.threads import using_threads
from latentprint.core.versions import versions

STOLEN = "stolen"  # what stands for the recipe on its card
_STUDENT, _FIDELITY = 11, 12
_BATCH = 256


@dataclass(frozen=True)
class StealingJob:
    """An encoder to be stolen, from answers that are on disk by the time it is made.

    Attributes:
        options: loss, student and training.
        query_set: the images that it learns from, with the victim's embeddings.
        held_out: those that its fidelity is measured on; None measures none.
        victim: what the card says of the endpoint that it is stolen from; no part of the key, as the answers are.
        seed: of the student, the order of the images, their views and the bootstrap.
        store: where its bundle goes.
        identity: the key that it goes by, where that was known before there were answers; "" for one of its own.
    """

    options: Stealing
    query_set: StoredAnswers
    held_out: StoredAnswers | None
    victim: Mapping[str, Any]
    seed: int
    store: ModelStore
    identity: str = ""
    kind = STEAL
    limit = MAKING
    cores = 1.0
    on_gpu = True
    needs = ()

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of options, answers, images, seed and the code that steals; or `identity`."""
        if self.identity:
            return self.identity
        held_out = None if self.held_out is None else digest_arrays(ids=self.held_out.ids)
        answers = [self.query_set.folder.parent.name, self.query_set.folder.name]  # the endpoint's, the signal's
        code = code_digest(StealingJob, STEALING_LOSSES.get(self.options.loss).function)
        ids = digest_arrays(ids=self.query_set.ids)
        return digest_json([self.options.trained_by, answers, ids, held_out, self.seed, code])

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"steal by {self.options.loss}"

    @property
    def folder(self) -> Path:
        """The bundle."""
        return self.store.folder(self.kind, self.key)

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.query_set.folder,)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return (self._work,)

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return self.folder

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return (self.folder / CARD).exists()

    @property
    def _work(self) -> Path:
        return theft_work(self.folder)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return theft_progress(self.folder, self.options)

    def make(self) -> None:
        """See `Task.make`: train the student, or go on, measure its fidelity and write the bundle."""
        with using_threads(1):
            dataset, answers = opened(self.query_set.dataset), self.query_set.answers()
            spec = student_spec(self.options, answers.shape[1])
            seed = int(np.random.default_rng([self.seed, _STUDENT]).integers(2**62))
            student = placed(Student(spec, "embedding", answers.shape[1:], dataset.sample_shape, seed))
            ids = self.query_set.ids
            classes = dataset.labels["class"][ids] if self._reads_classes else np.zeros(len(ids), dtype=np.int64)
            examples = DistillationSet(np.ascontiguousarray(dataset.images(ids)), answers)
            losses = steal(student, self.options, examples, classes, self._work, key=self.key, seed=self.seed)
            self._publish(student, spec.model_args, self._card(dataset, student.encoder(), losses))

    @property
    def _reads_classes(self) -> bool:
        return STEALING_LOSSES.get(self.options.loss).reads_classes

    def _card(self, dataset: Dataset, encoder: Encoder, losses: list[float]) -> BundleCard:
        summary = {
            "identity": self.key,
            "epochs": self.options.epochs,
            "queries": len(self.query_set.ids),
            "losses": losses,
            "victim": dict(self.victim),
        }
        found = self._fidelity(dataset, encoder)
        source = self.query_set.dataset
        return BundleCard(
            recipe=STOLEN,
            outputs=(EMBEDDING,),
            image_size=dataset.sample_shape[0],
            mean=encoder.channels[0],
            std=encoder.channels[1],
            options=self.options.trained_by,
            dataset={"name": source.name, "options": dict(source.options)},
            dataset_digest=dataset.digest,
            training=summary | ({} if found is None else {"fidelity": asdict(found)}),
            versions=versions("torch", "timm"),
        )

    def _fidelity(self, dataset: Dataset, encoder: Encoder) -> Fidelity | None:
        if self.held_out is None:
            return None
        own = embeddings(encoder, dataset, self.held_out.ids)
        return fidelity(self.held_out.answers(), own, rng=np.random.default_rng([self.seed, _FIDELITY]))

    def _publish(self, student: Student, model_args: Mapping[str, Any], card: BundleCard) -> None:
        """Write the bundle whole or not at all."""
        draft = self._work / "bundle"
        with writing(self.folder):
            shutil.rmtree(draft, ignore_errors=True)
            save_bundle(student.model.cpu().to(memory_format=torch.contiguous_format), draft, card, model_args)
            draft.replace(self.folder)
            shutil.rmtree(self._work, ignore_errors=True)


def theft_work(bundle: Path) -> Path:
    """The folder beside a stolen bundle of what is kept until it is there."""
    return bundle.with_name(f"{bundle.name}.work")


def theft_progress(bundle: Path, options: Stealing) -> TaskProgress:
    """How far the training of a student is."""
    place = theft_work(bundle) / EPOCHS
    done = options.epochs if (bundle / CARD).exists() else int(place.read_text()) if place.exists() else 0
    return TaskProgress(done, options.epochs, "epochs")


def stealing_job(
    options: Stealing, plan: ExtractionPlan, chosen: Ids, seed: int, store: ModelStore, *, identity: str = ""
) -> StealingJob:
    """The job that learns from the answers that `plan`, of one plain answer an image, has asked for.

    Args:
        options: of the theft.
        plan: of the extraction.
        chosen: what `thief_images` gave, int64 [S].
        seed: of the training.
        store: where the bundle goes.
        identity: see `StealingJob`.
    """
    (signal,) = plan.signals
    card, aside = plan.card, options.held_out
    answers = StoredAnswers(plan.dataset, chosen, signal.folder, tuple(card.outputs[EMBEDDING]))
    rows = np.arange(len(chosen))
    victim: dict[str, Any] = {
        "url": card.url,
        "model": printable(card.model),
        "weights_digest": card.weights_digest,
        "identity": card.identity,
    }
    held_out = answers.only(rows[:aside]) if aside else None
    return StealingJob(options, answers.only(rows[aside:]), held_out, victim, seed, store, identity)


def embeddings(encoder: Encoder, dataset: Dataset, ids: Ids) -> NDArray[np.float32]:
    """An encoder's embeddings float32 [S, D] of images `ids` (int64 [S])."""
    parts = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
    return np.concatenate(
        [encoder.answer(np.ascontiguousarray(dataset.images(part)), (EMBEDDING,))[EMBEDDING] for part in parts]
    )
