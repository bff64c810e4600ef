"""Trained models and their untrained twins: victims, shadow models, placebos and defended candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from latentprint.attack_engine.models.job import TRAIN
from latentprint.attack_engine.models.victim import TWIN_SEED, TwinJob, VictimJob, log_victim
from latentprint.attack_engine.scheduling.task import TaskProgress
from latentprint.core.split_files import read_split
from latentprint.core.tracking import Run, working
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer import make_plan, read_progress, train, training_code, untrained, work_folder


@dataclass(frozen=True)
class TrainingJob(VictimJob):
    """A model to be trained by a recipe, with everything that its weights depend on.

    Attributes:
        workers: that train it together.
    """

    workers: int = 1
    kind = TRAIN

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"train {self.name}"

    @property
    def code(self) -> str:
        """See `VictimJob.code`: the recipe's and the defences' is in it."""
        choice = self.choice
        plan = make_plan(choice.recipe, choice.options, choice.epochs, choice.defences)
        return training_code(plan, choice.defences)

    @property
    def augmentation(self) -> Augmentation:
        """See `VictimJob.augmentation`."""
        choice = self.choice
        return make_plan(choice.recipe, choice.options, choice.epochs, choice.defences).options.augmentation

    @property
    def made_by(self) -> Mapping[str, Any]:
        """See `VictimJob.made_by`: recipe, options, epochs and defence."""
        choice = self.choice
        return {
            "recipe": choice.recipe,
            "options": dict(choice.options),
            "epochs": choice.epochs,
            "defences": [asdict(defence) for defence in choice.defences],
        }

    @property
    def cores(self) -> float:
        """See `Task.cores`: with workers of its own it needs nothing itself."""
        return 1.0 if self.workers == 1 else 0.0

    @property
    def twin(self) -> "UntrainedJob":
        """See `VictimJob.twin`."""
        return UntrainedJob(self)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return (work_folder(self.folder),)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        state = read_progress(work_folder(self.folder) / "progress.json")
        return (
            TaskProgress(0, None, "images")
            if state is None
            else TaskProgress(state.images, state.images_total, "images")
        )

    def make(self) -> None:
        """See `Task.make`: train it, logged below `run`; a training that was stopped goes on."""
        if self.run is None:
            self._train(None)
            return
        with working(self.record(self.run)) as run:
            self._train(run)
            log_victim(run, self)

    def _train(self, run: Run | None) -> None:
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
            tracker=run,
        )


@dataclass(frozen=True)
class UntrainedJob(TwinJob):
    """The untrained twin of a model that is trained by a recipe."""

    of: TrainingJob

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
