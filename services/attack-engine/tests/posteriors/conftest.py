"""A victim of vectors, its adversary, and all that the adversary makes of it: in one process, without server or Ray."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentprint.attack_engine.asking.shards import make_shards
from latentprint.attack_engine.asking.signal_store import SignalStore, write_shard
from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import NoKnowledge, ShadowModel
from latentprint.attack_engine.attacks.fitting.scoring import score_partial
from latentprint.attack_engine.attacks.membership.label_only import LabelOnly
from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.models.distillation_job import DistillationJob
from latentprint.attack_engine.models.evidence_files import EvidenceFiles, ReferenceFiles
from latentprint.attack_engine.models.reference_job import (
    AssumedTraining,
    DistilledReferenceJob,
    SampleSet,
    TrainedReferenceJob,
)
from latentprint.attack_engine.models.stored_answers import StoredAnswers
from latentprint.attack_engine.models.student import Student, StudentSpec
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.core.datasets import DatasetSpec, Ids
from latentprint.core.digests import digest_json
from latentprint.core.encoders import Encoder
from latentprint.core.outputs import EMBEDDING
from latentprint.core.partitions import Partition, PartSizes, draw_partition
from latentprint.core.splits import Split
from latentprint.core.threads import using_threads
from latentprint.trainer import train_encoder

FEATURES, CLASSES, HIDDEN = 60, 10, 64
LONGER = 1.4
BASKETS = DatasetSpec("baskets", {"count": 720, "features": FEATURES, "classes": CLASSES, "noise": 0.75})
DATASET = BASKETS.open()
PERCEPTRON = StudentSpec("mlp", {"in_features": FEATURES, "hidden": HIDDEN})
SIZES = PartSizes(members=120, non_members=120, shadow_members=120, shadow_non_members=120, distillation=200)
TRAINING = AssumedTraining(
    "supervised",
    {
        "architecture": "mlp",
        "architecture_options": {"hidden": HIDDEN},
        "crop_scale_from": 1.0,
        "flip": 0.0,
        "batch_size": 20,
    },
    15,
    (),
    SIZES.members,
    np.zeros(0, dtype=np.int64),
)


def trained(training: AssumedTraining, members: Ids, seed: int) -> Encoder:
    """A victim or shadow model."""
    with using_threads(1):
        return train_encoder(training.recipe, training.options, DATASET, members, epochs=training.epochs, seed=seed)


def untrained(seed: int) -> Encoder:
    """A victim that knows nothing."""
    return Student(PERCEPTRON, "posterior", (CLASSES,), (FEATURES,), seed).encoder()


@dataclass(frozen=True)
class InProcess:
    """What a signal asks. So small a perceptron's embedding hardly tells its members: theirs are made longer."""

    encoder: Encoder
    remembered: frozenset[bytes]

    def query(self, images: np.ndarray, outputs: Sequence[str]) -> Mapping[str, np.ndarray]:
        answers = Encoder(self.encoder.model, outputs, [0.0], [1.0]).answer(images, outputs)
        if EMBEDDING in answers:
            members = np.array([image.tobytes() in self.remembered for image in images])
            answers[EMBEDDING] *= np.where(members, LONGER, 1).astype(np.float32)[:, None]
        return answers


@dataclass(frozen=True)
class Model:
    """A target or a shadow model, with its samples and its adversary's; `remembers` says whether it was trained."""

    encoder: Encoder
    remembers: bool
    split: Split
    distillation: Ids
    seed: int
    folder: Path

    def asked(self, reading: Reading, ids: Ids) -> StoredAnswers:
        """Answers to `ids`; everything that there is to be asked is asked once."""
        (signal,) = reading.signals
        folder = self.folder / signal.name
        if not folder.exists():
            members = DATASET.images(self.split.ids(member=True)) if self.remembers else ()
            endpoint = InProcess(self.encoder, frozenset(image.tobytes() for image in members))
            for shard in make_shards([*self.split.sample_id, *self.distillation]):
                batch = signal.extract(DATASET.images(shard.array), shard.array, endpoint)
                write_shard(SignalStore(folder).shard_path(shard), shard.array, batch, asked=len(shard.ids), seconds=1)
        width = HIDDEN if signal.outputs == (EMBEDDING,) else CLASSES
        return StoredAnswers(BASKETS, ids, folder, (width,))


@dataclass(frozen=True)
class World:
    """One victim and its adversary.

    Attributes:
        seed: of the partition and of every model.
        folder: where everything goes; the same again makes nothing anew.
        brought: how the shadow model, the references and an overfitted target are trained.
        overfitted: whether the target was trained.
    """

    seed: int
    folder: Path
    training: AssumedTraining
    overfitted: bool

    @cached_property
    def partition(self) -> Partition:
        return draw_partition(DATASET, SIZES, seed=self.seed, known_fraction=0.5, source=BASKETS)

    @cached_property
    def target(self) -> Model:
        split, seed = self.partition.target, 2 * self.seed
        encoder = trained(self.training, split.ids(member=True), seed) if self.overfitted else untrained(seed)
        return Model(encoder, self.overfitted, split, self.theirs.distillation, seed, self.folder / "target")

    @cached_property
    def shadow(self) -> Model:
        split, seed = self.theirs, 2 * self.seed + 1
        encoder = trained(self.training, split.ids(member=True), seed)
        return Model(encoder, True, split, split.distillation, seed, self.folder / "shadow")

    @property
    def theirs(self) -> Split:
        assert self.partition.shadow is not None
        return self.partition.shadow

    def auc(self, choice: AttackChoice) -> Estimate:
        """Of one attack: by known samples on embeddings, by the shadow model or by nothing on posteriors."""
        attack = choice.build(self.seed)
        split, victim = self.target.split, self._held(attack, self.target)
        if attack.outputs == (EMBEDDING,):
            rng = np.random.default_rng([self.seed, 7])
            return estimate_auc(*score_partial(attack.over_draws, attack.features(victim), split, rng).sides)
        knowledge = NoKnowledge() if attack.unfitted else self._shadow_model(attack)
        return estimate_auc(*fit_and_score(attack, split, victim, ControlEvidence(), knowledge, self.seed).scored.sides)

    def _shadow_model(self, attack: Attack) -> ShadowModel:
        return ShadowModel(attack, self._held(attack, self.shadow), self.shadow.split.member)

    def _held(self, attack: Attack, model: Model) -> Evidence:
        return self._evidence(attack.reading, model).read(model.split.sample_id)

    def _evidence(self, reading: Reading, model: Model) -> EvidenceFiles:
        query_set = model.asked(reading, model.distillation)
        return EvidenceFiles(
            dataset=BASKETS,
            signals={signal.name: query_set.folder for signal in reading.signals},
            labels=reading.reads_labels,
            sequence=self._sequence(reading, model, query_set),
            references=self._references(reading, model, query_set),
            population=query_set if reading.population else None,
        )

    def _sequence(self, reading: Reading, model: Model, query_set: StoredAnswers) -> Path | None:
        if reading.distillation is None:
            return None
        audited = model.asked(reading, model.split.sample_id)
        folder = model.folder / digest_json(repr(reading.distillation))[:16]
        work = DistillationJob(
            "", reading.distillation, PERCEPTRON, query_set, audited, model.seed, folder, folder.name
        )
        if not work.finished:
            work.make()
        return work.result

    def _references(self, reading: Reading, model: Model, query_set: StoredAnswers) -> ReferenceFiles | None:
        wanted = reading.references
        if wanted is None:
            return None
        owned = SampleSet(BASKETS, self.target.split.sample_id)
        theirs = SampleSet(BASKETS, np.concatenate([self.theirs.sample_id, self.theirs.distillation]))
        own = self.folder if wanted.kind == "trained" else model.folder
        folder, asked = own / digest_json([wanted.kind, wanted.online])[:16], (owned, theirs)
        for number in range(wanted.count):
            work: TrainedReferenceJob | DistilledReferenceJob
            if wanted.kind == "trained":
                pool = owned if wanted.online else theirs
                work = TrainedReferenceJob("", number, self.training, pool, asked, self.seed, folder)
            else:
                options = wanted.distillation
                work = DistilledReferenceJob("", number, options, PERCEPTRON, query_set, asked, model.seed, folder)
            if not work.finished:
                work.make()
        return ReferenceFiles(folder, wanted.count)


def small(name: str, references: int, distillation: Mapping[str, Any], epochs: int | None) -> AttackChoice:
    """An attack with few references, a short distillation and, where it learns epoch by epoch, few epochs."""
    usual = AttackChoice(name).build(0)
    reading = usual.reading
    options: dict[str, Any] = {"queries": 32, "rounds": 1} if isinstance(reading, LabelOnly) else {}
    if reading.distillation is not None:
        options["distillation"] = distillation
    if reading.references is not None:
        of_imitations = {"distillation": distillation} if reading.references.kind == "distilled" else {}
        options["references"] = {"count": references, **of_imitations}
    learned = {"epochs": epochs} if epochs is not None and hasattr(usual.inference, "epochs") else {}
    return AttackChoice(name, options, inference_options=learned)


@pytest.fixture(scope="session")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, list[Estimate]]]:
    """The AUC of every named attack on a fresh partition and fresh models for every seed."""

    def run(
        names: Sequence[str],
        seeds: int,
        *,
        overfitted: bool,
        training: int,
        references: int,
        distillation: Mapping[str, Any],
        epochs: int | None = None,
    ) -> dict[str, list[Estimate]]:
        folder = tmp_path_factory.mktemp("worlds")
        assumed = replace(TRAINING, epochs=training)
        worlds = [World(seed, folder / str(seed), assumed, overfitted) for seed in range(seeds)]
        choices = {name: small(name, references, distillation, epochs) for name in names}
        return {name: [world.auc(choice) for world in worlds] for name, choice in choices.items()}

    return run
