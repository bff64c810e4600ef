"""What every model is that is made here to be served and audited: a victim, its shadow model, its placebo."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from latentprint.attack_engine.models.choice import DrawnSamples, VictimChoice
from latentprint.attack_engine.models.job import TWIN, VICTIM, ModelStore
from latentprint.attack_engine.models.stored_answers import opened
from latentprint.attack_engine.scheduling.task import MAKING, Task, TaskProgress
from latentprint.core.bundles import CARD, BundleCard, read_card
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.splits import Split
from latentprint.core.tracking import Run, dataset_input, split_input
from latentprint.core.tracking.models import log_model, model_description
from latentprint.core.views.augmentations import Augmentation

TWIN_SEED = 1_000_003


@dataclass(frozen=True)
class VictimJob(ABC):
    """A model job whose bundle can be served and audited, and which has an untrained twin.

    Attributes:
        choice: how it is made and served.
        samples: whose members it is, directly or by what it is derived from, trained on.
        seed: of all that is drawn for it.
        store: where its bundle goes.
        role: what it is made for: `VICTIM`, `SHADOW` or `PLACEBO`; no part of its weights.
        run: MLflow's run below which it is logged, in a run of its own.
    """

    choice: VictimChoice
    samples: DrawnSamples
    seed: int
    store: ModelStore
    role: str = field(default=VICTIM, kw_only=True)
    run: Run | None = field(default=None, kw_only=True)
    kind: ClassVar[str]
    limit = MAKING
    on_gpu = True

    @property
    @abstractmethod
    def title(self) -> str:
        """See `Task.title`."""

    @abstractmethod
    def make(self) -> None:
        """See `Task.make`."""

    @property
    @abstractmethod
    def made_by(self) -> Mapping[str, Any]:
        """All that says how it is made, its samples and seed left out, as plain data."""

    @property
    @abstractmethod
    def code(self) -> str:
        """SHA-256 (hex) of the code that makes it and its twin."""

    @property
    @abstractmethod
    def augmentation(self) -> Augmentation:
        """The augmentation that the members were trained with, for an adversary who knows it."""

    @property
    @abstractmethod
    def twin(self) -> "TwinJob":
        """Its untrained twin: the same architecture with fresh weights."""

    @property
    def needs(self) -> Sequence[Task]:
        """See `Task.needs`."""
        return ()

    @property
    def cores(self) -> float:
        """See `Task.cores`."""
        return 1.0

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished))

    @property
    def ancestors(self) -> "tuple[VictimJob, ...]":
        """What it is derived from, and what that is derived from, first things first."""
        return ()

    @property
    def _further(self) -> Mapping[str, Any]:
        """What its weights depend on beside how it is made, its code, samples and seed."""
        return {}

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of all that its weights depend on, its code and so the data's content included."""
        own = {"code": self.code, "split": self.samples.split.digest, "seed": self.seed, "twin": self.seed + TWIN_SEED}
        return digest_json({**self.made_by, **own, **self._further})

    @property
    def obfuscation(self) -> tuple[str, ...]:
        """What is done to its answers on their way out; empty for nothing."""
        return (*self.choice.obfuscate, str(self.choice.obfuscate_seed)) if self.choice.obfuscate else ()

    @property
    def answers_key(self) -> str:
        """Under which its answers are kept: the key, and with obfuscated answers another one."""
        return digest_json([self.key, self.obfuscation]) if self.obfuscation else self.key

    def made_alike(self, role: str, samples: DrawnSamples) -> Self:
        """A model that is made as this one, on other samples."""
        choice = replace(self.choice, name=f"{role} of {self.name}")
        return replace(self, choice=choice, samples=samples, role=role, run=None)

    def logged_to(self, run: Run) -> Self:
        """The same, logged below MLflow's `run` when it is made."""
        return replace(self, run=run)

    def record(self, parent: Run, started: int | None = None) -> Run:
        """The run below `parent` that its making is logged to; it began now or at `started`, see `Run.child`."""
        run = parent.child(self.name, self.key, started)
        run.set_tags({"latentprint.kind": self.role, "latentprint.bundle": str(self.folder)})
        return run

    @property
    def name(self) -> str:
        """What it is called."""
        return self.choice.name

    @property
    def dataset(self) -> DatasetSpec:
        """Where its samples come from."""
        return self.samples.dataset

    @property
    def split(self) -> Split:
        """Its samples."""
        return self.samples.split

    @property
    def folder(self) -> Path:
        """The bundle."""
        return self.store.folder(self.kind, self.key)

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.samples.path,)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return ()

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return self.folder

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return (self.folder / CARD).exists()

    def is_made_as(self, other: "VictimJob") -> bool:
        """Whether both are made alike, samples and seed left out."""
        return self.made_by == other.made_by

    def is_shadow_of(self, other: "VictimJob") -> bool:
        """Whether this encoder is made as `other`, on another data set."""
        return self.is_made_as(other) and self.split.dataset_digest != other.split.dataset_digest

    def is_pair_of(self, other: "VictimJob") -> bool:
        """Whether `other` is made otherwise, with the same defence, on the same samples and seed."""
        same = self.split.digest == other.split.digest and self.seed == other.seed
        return same and not self.is_made_as(other) and self.choice.defence == other.choice.defence


@dataclass(frozen=True)
class TwinJob(ABC):
    """The untrained twin of a model that is made: same architecture, weights of another seed."""

    of: VictimJob
    kind = TWIN
    limit = MAKING
    cores = 1.0
    on_gpu = False
    work = ()

    @property
    def key(self) -> str:
        """See `Task.key`."""
        return f"{self.of.key}-untrained"

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return "untrained twins"

    @property
    def needs(self) -> Sequence[Task]:
        """See `Task.needs`."""
        return ()

    @property
    def folder(self) -> Path:
        """Its bundle, among those that are trained."""
        trained = self.of.store.folder(self.kind, self.of.key)
        return trained.with_name(f"{trained.name}-untrained")

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.of.samples.path,)

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return self.folder

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return (self.folder / CARD).exists()

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished))

    @abstractmethod
    def make(self) -> None:
        """See `Task.make`."""


def log_inputs(run: Run, samples: DrawnSamples) -> None:
    """Log the data set and the split that a model was made from."""
    run.log_input(dataset_input(opened(samples.dataset), samples.dataset), "training")
    run.log_input(split_input(samples.split), "split")


def log_victim(run: Run, job: VictimJob) -> None:
    """Log a model that is made: what it is, and a victim as a version of a registered model."""
    card, experiment = read_card(job.folder), run.address.experiment
    if job.role == VICTIM:
        log_model(run, card, job.folder, f"{experiment}-{job.name}")
    else:
        run.describe(model_description(card))


def log_bundle(run: Run, card: BundleCard) -> None:
    """Log what a card says of how its model was made: options, the way of its loss, and what it was measured by."""
    summary = dict(card.training)
    run.log_params({"recipe": card.recipe, "options": card.options})
    for point in summary.pop("history", []):
        metrics = dict(point)
        run.log_metrics(metrics, step=int(metrics.pop("epoch")))
    for epoch, loss in enumerate(summary.pop("losses", []), start=1):
        run.log_metrics({"loss": loss}, epoch)
    fidelity = {name: one["value"] for name, one in summary.get("fidelity", {}).items() if isinstance(one, dict)}
    run.log_metrics({**{name: value for name, value in summary.items() if isinstance(value, float)}, **fidelity})
