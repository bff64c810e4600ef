"""Trained models and their untrained twins: victims, shadow models, placebos and defended candidates."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from latentprint.attack_engine.models.job import TRAIN, TWIN, VICTIM, ModelStore
from latentprint.attack_engine.scheduling.task import MAKING, TaskProgress
from latentprint.core.bundles import CARD
from latentprint.core.checks import require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.split_files import read_split, write_split
from latentprint.core.splits import Split
from latentprint.core.tracking import Run, finishing
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer import DefenceSpec, make_plan, read_progress, train, training_code, untrained, work_folder

TWIN_SEED = 1_000_003


@dataclass(frozen=True)
class VictimChoice:
    """A victim to train: a recipe on the members of a split, with or without a defence.

    `deterministic` serves it so that an image's answer is the same bits in any batch. `owned_by` names the victim of
    the same split that it may be stolen from, which makes it a suspect of ownership. `attacks` are those of the
    experiment that audit it, by label: None for all of them, and none at all for one that only owns a suspect.
    """

    name: str
    recipe: str
    split: str
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)
    defence: DefenceSpec | None = None
    seed: int | None = None
    deterministic: bool = False
    owned_by: str = ""
    attacks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_seed("seed", self.seed)

    @property
    def defences(self) -> tuple[DefenceSpec, ...]:
        """The defence, if there is one."""
        return (self.defence,) if self.defence else ()

    def is_audited_with(self, label: str) -> bool:
        """Whether the attack of this label is one of `attacks`."""
        return self.attacks is None or label in self.attacks


@dataclass(frozen=True)
class DrawnSamples:
    """A split of a data set, drawn and written, so that a worker reads it."""

    dataset: DatasetSpec
    split: Split
    path: Path

    @classmethod
    def written(cls, dataset: DatasetSpec, split: Split, path: Path) -> "DrawnSamples":
        """`split` at `path`, written where it is not there yet."""
        if not path.exists():
            write_split(split, path)
        return cls(dataset, split, path)


@dataclass(frozen=True)
class TrainingJob:
    """A model to be trained, with everything that its weights depend on.

    Attributes:
        choice: recipe, options, epochs and defence.
        samples: its split's members are what it is trained on.
        seed: of initialisation, order and augmentation.
        store: where its bundle goes.
        workers: that train it together.
        role: what it is made for: `VICTIM`, `SHADOW` or `PLACEBO`; no part of its weights.
        run: MLflow's run that the training is logged to.
    """

    choice: VictimChoice
    samples: DrawnSamples
    seed: int
    store: ModelStore
    workers: int = 1
    role: str = VICTIM
    run: Run | None = None
    kind = TRAIN
    limit = MAKING
    on_gpu = True
    needs = ()

    def trained_alike(self, role: str, samples: DrawnSamples) -> "TrainingJob":
        """A model trained as this one, on other samples."""
        return replace(
            self, choice=replace(self.choice, name=f"{role} of {self.name}"), samples=samples, role=role, run=None
        )

    def logged_to(self, run: Run) -> "TrainingJob":
        """The same, with its metrics going to MLflow's `run`."""
        return replace(self, run=run)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.choice.name

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"train {self.name}"

    @property
    def dataset(self) -> DatasetSpec:
        """Where its samples come from."""
        return self.samples.dataset

    @property
    def split(self) -> Split:
        """Its samples."""
        return self.samples.split

    @property
    def code(self) -> str:
        """SHA-256 (hex) of the code that trains it, the recipe's and the defences' in it, and that makes its twin."""
        choice = self.choice
        plan = make_plan(choice.recipe, choice.options, choice.epochs, choice.defences)
        return training_code(plan, choice.defences)

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of recipe, code, options, split and so the data's content, epochs, defence and seed."""
        return digest_json(
            {
                **self._training,
                "code": self.code,
                "split": self.split.digest,
                "seed": self.seed,
                "twin": self.seed + TWIN_SEED,
            }
        )

    @property
    def augmentation(self) -> Augmentation:
        """The training augmentation, for an adversary who knows it."""
        choice = self.choice
        return make_plan(choice.recipe, choice.options, choice.epochs, choice.defences).options.augmentation

    def is_trained_as(self, other: "TrainingJob") -> bool:
        """Whether both have recipe, options, epochs and defence in common."""
        return self._training == other._training

    def is_shadow_of(self, other: "TrainingJob") -> bool:
        """Whether this encoder is trained as `other`, on another data set."""
        return self.is_trained_as(other) and self.split.dataset_digest != other.split.dataset_digest

    def is_pair_of(self, other: "TrainingJob") -> bool:
        """Whether `other` is trained otherwise, with the same defence, on the same samples and seed."""
        same = self.split.digest == other.split.digest and self.seed == other.seed
        return same and not self.is_trained_as(other) and self.choice.defence == other.choice.defence

    @property
    def _training(self) -> dict[str, Any]:
        choice = self.choice
        return {
            "recipe": choice.recipe,
            "options": dict(choice.options),
            "epochs": choice.epochs,
            "defences": [asdict(defence) for defence in choice.defences],
        }

    @property
    def folder(self) -> Path:
        """The bundle."""
        return self.store.folder(self.kind, self.key)

    @property
    def cores(self) -> float:
        """See `Task.cores`: with workers of its own it needs nothing itself."""
        return 1.0 if self.workers == 1 else 0.0

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return (self.folder / CARD).exists()

    @property
    def twin(self) -> "TwinJob":
        """Its untrained twin."""
        return TwinJob(self)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        state = read_progress(work_folder(self.folder) / "progress.json")
        return (
            TaskProgress(0, None, "images")
            if state is None
            else TaskProgress(state.images, state.images_total, "images")
        )

    def make(self) -> None:
        """See `Task.make`: train it, logged to `run`; a training that was stopped goes on."""
        if self.run is None:
            self._train()
            return
        with finishing(self.run):
            self._train()

    def _train(self) -> None:
        train(
            self.choice.recipe,
            self.choice.options,
            self.dataset,
            read_split(self.samples.path),
            self.folder,
            epochs=self.choice.epochs,
            seed=self.seed,
            defences=self.choice.defences,
            threads=1,
            evaluate_every=self.choice.epochs,  # reports read the finished model's accuracies alone
            workers=self.workers,
            resume=True,
            tracker=self.run,
        )


@dataclass(frozen=True)
class TwinJob:
    """The untrained twin of a model that is trained: same architecture, weights of another seed."""

    of: TrainingJob
    kind = TWIN
    limit = MAKING
    cores = 1.0
    on_gpu = False
    needs = ()

    @property
    def key(self) -> str:
        """See `Task.key`."""
        return f"{self.of.key}-untrained"

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return "untrained twins"

    @property
    def folder(self) -> Path:
        """Its bundle, beside that of the trained one."""
        trained = self.of.store.folder(self.kind, self.of.key)
        return trained.with_name(f"{trained.name}-untrained")

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return (self.folder / CARD).exists()

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished))

    def make(self) -> None:
        """See `Task.make`."""
        of = self.of
        untrained(
            of.choice.recipe,
            of.choice.options,
            of.dataset,
            read_split(of.samples.path),
            self.folder,
            seed=of.seed + TWIN_SEED,
        )
