"""Victims and their untrained twins, made side by side by Ray; what exists is not made again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from rich.progress import Progress, TaskID

from latentprint.attack_engine.runs.config import VictimChoice
from latentprint.attack_engine.runs.gpus import gpu_share
from latentprint.core.bundles import CARD
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.splits import Split, read_split
from latentprint.core.text import printable
from latentprint.core.tracking import Run, finishing
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer import make_plan, read_progress, train, training_code, untrained, work_folder

_POLL_SECONDS = 0.5
_STOP_SECONDS = 30.0
_TWIN_SEED = 1_000_003
VICTIM, SHADOW, PLACEBO = "victim", "shadow", "placebo"


@dataclass(frozen=True)
class Adversary:
    """What the adversary of a victim has: a shadow model's members and non-members, and distillation samples."""

    dataset: DatasetSpec
    split: Split
    split_path: Path


@dataclass(frozen=True)
class VictimJob:
    """A victim to be, with everything that its weights depend on, and how many workers train it together.

    `adversary` is what the adversary has where the split gives it samples of its own, and `placebo_split` the samples
    of an encoder made alike that saw none of these; neither is part of the weights. `kind` says what it is made for.
    """

    choice: VictimChoice
    dataset: DatasetSpec
    split: Split
    split_path: Path
    seed: int
    store: Path
    workers: int = 1
    adversary: Adversary | None = None
    placebo_split: Split | None = None
    placebo_path: Path | None = None
    kind: str = VICTIM

    @property
    def placebo(self) -> "VictimJob | None":
        """An encoder trained as this one on other samples of the data set; None where too few were left."""
        if self.placebo_split is None or self.placebo_path is None:
            return None
        return self._trained_alike(PLACEBO, self.dataset, self.placebo_split, self.placebo_path)

    @property
    def shadow(self) -> "VictimJob | None":
        """The adversary's shadow model, trained as this one on the adversary's samples; None without such samples."""
        adversary = self.adversary
        if adversary is None or not len(adversary.split.sample_id):
            return None
        return self._trained_alike(SHADOW, adversary.dataset, adversary.split, adversary.split_path)

    def _trained_alike(self, kind: str, dataset: DatasetSpec, split: Split, path: Path) -> "VictimJob":
        return replace(
            self,
            choice=replace(self.choice, name=f"{kind} of {self.choice.name}"),
            dataset=dataset,
            split=split,
            split_path=path,
            adversary=None,
            placebo_split=None,
            placebo_path=None,
            kind=kind,
        )

    @property
    def adversary_digest(self) -> str:
        """Digest of the adversary's samples, which victims of the same weights need not share; "" without any."""
        return "" if self.adversary is None else self.adversary.split.digest

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
                "twin": self.seed + _TWIN_SEED,
            }
        )

    @property
    def augmentation(self) -> Augmentation:
        """The victim's own training augmentation, for an adversary who knows it."""
        choice = self.choice
        return make_plan(choice.recipe, choice.options, choice.epochs, choice.defences).options.augmentation

    def is_trained_as(self, other: "VictimJob") -> bool:
        """Whether both have recipe, options, epochs and defence in common."""
        return self._training == other._training

    def is_shadow_of(self, other: "VictimJob") -> bool:
        """Whether this encoder is trained as `other`, on another data set."""
        return self.is_trained_as(other) and self.split.dataset_digest != other.split.dataset_digest

    def is_pair_of(self, other: "VictimJob") -> bool:
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
        """The victim's bundle."""
        return self.store / self.key[:16]

    @property
    def twin_folder(self) -> Path:
        """The untrained twin's bundle."""
        return self.store / f"{self.key[:16]}-untrained"

    @property
    def finished(self) -> bool:
        """Whether victim and twin are both there."""
        return (self.folder / CARD).exists() and (self.twin_folder / CARD).exists()


def make_victims(jobs: Sequence[tuple[VictimJob, Run]], progress: Progress, *, side_by_side: int) -> None:
    """Train what is missing, `side_by_side` at a time, with a bar for each.

    Args:
        jobs: victims, each with the MLflow run that its training is logged to.
        progress: where the bars go.
        side_by_side: trainings at once; each has a core, and an equal share of the GPUs where there are any.

    Raises:
        Interrupted: on Ctrl-C, after every training has saved its checkpoint.
        LatentprintError: a training's own error.
    """
    share = gpu_share(side_by_side)
    waiting = list(jobs)
    running: dict[Any, tuple[VictimJob, TaskID]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                job, run = waiting.pop(0)
                bar = progress.add_task(printable(f"train {job.choice.name}"), total=None, rate="")
                running[_resources(job, share).remote(job, run)] = (job, bar)
            done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
            for job, bar in running.values():
                update_bar(progress, bar, job)
            for reference in done:
                _, bar = running.pop(reference)
                _outcome(reference)
                progress.update(bar, total=1, completed=1, refresh=True)
    except KeyboardInterrupt:
        _stop(list(running))
        raise Interrupted("Stopped with every training's checkpoint saved: run the same command to go on.") from None


def _resources(job: VictimJob, share: float) -> Any:
    """The task that makes a victim: with workers of its own it needs nothing itself."""
    if job.workers > 1:
        return _make.options(num_cpus=0, num_gpus=0)
    return _make.options(num_cpus=1, num_gpus=share)


@ray.remote(max_retries=2)
def _make(job: VictimJob, run: Run) -> LatentprintError | None:
    """Make one victim. A `LatentprintError` is returned, so that it arrives as what it is."""
    try:
        make_victim(job, run)
    except LatentprintError as error:
        return error
    return None


def make_victim(job: VictimJob, run: Run) -> None:
    """Train one victim, logged to `run`, and write its twin; a training that was stopped goes on."""
    what = (job.choice.recipe, job.choice.options, job.dataset, read_split(job.split_path))
    untrained(*what, job.twin_folder, seed=job.seed + _TWIN_SEED)
    with finishing(run):
        train(
            *what,
            job.folder,
            epochs=job.choice.epochs,
            seed=job.seed,
            defences=job.choice.defences,
            threads=1,
            workers=job.workers,
            resume=True,
            tracker=run,
        )


def update_bar(progress: Progress, bar: TaskID, job: VictimJob) -> None:
    """Show how far a training in another process is."""
    state = read_progress(work_folder(job.folder) / "progress.json")
    if state is not None:
        rate = f"{state.images_per_second:,.0f} images/s"
        progress.update(bar, total=state.images_total, completed=state.images, rate=rate)


def _outcome(reference: Any) -> None:
    error = ray.get(reference)
    if error is not None:
        raise error


def _stop(references: list[Any]) -> None:
    for reference in references:
        ray.cancel(reference)
    if references:
        ray.wait(references, num_returns=len(references), timeout=_STOP_SECONDS)
