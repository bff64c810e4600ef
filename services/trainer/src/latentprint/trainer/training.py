"""Train a victim: the one public way, for the command line and for the attack engine's workers alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentprint.core.bundles import BundleCard
from latentprint.core.datasets.base import DatasetSpec
from latentprint.core.splits import Split
from latentprint.core.tracking.inputs import dataset_input, split_input
from latentprint.trainer.device import Precision, resolve_device
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.interruption import Interruption
from latentprint.trainer.job import Job, run_first
from latentprint.trainer.plan import DefenceSpec, make_plan
from latentprint.trainer.progress import OnProgress
from latentprint.trainer.session import Tracker, quality
from latentprint.trainer.setup import Setup
from latentprint.trainer.workers import ALONE
from latentprint.trainer.workspace import Workspace

UNTRAINED = "untrained"


def train(
    recipe: str,
    options: Mapping[str, Any],
    dataset: DatasetSpec,
    split: Split,
    folder: Path,
    *,
    epochs: int,
    seed: int = 0,
    defences: Sequence[DefenceSpec] = (),
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    checkpoint_every: int | None = None,
    evaluate_every: int | None = None,
    resume: bool = False,
    workers: int = 1,
    tracker: Tracker | None = None,
    on_progress: OnProgress | None = None,
) -> BundleCard:
    """Train `recipe` on all members of `split`, and on nobody else, and write the victim bundle `folder`.

    Checkpoint and progress.json lie in `work_folder(folder)` beside it. Where `folder` already holds the bundle of
    this very training, it is returned untouched. Same seed, machine and thread count: the same weights bit for bit,
    however often the training was stopped or killed and resumed.

    Args:
        recipe: registered name.
        options: mapped strictly onto the recipe's dataclass.
        dataset: what `split` was drawn from.
        split: its members are trained on; its non-members only measure k-NN and linear-probe accuracy.
        folder: the bundle to be; absent or empty.
        epochs: length of the schedule; a defence may stop before its end.
        seed: of initialisation, order, augmentation and masks.
        defences: applied in order.
        device: "auto", "cpu", "cuda", ...
        precision: "fp32", "bf16" (autocast), or "auto": bf16 where a GPU computes it.
        threads: torch's, for this training only; None leaves them.
        checkpoint_every: epochs between checkpoints; None: every half minute, whatever the epoch.
        evaluate_every: epochs between k-NN and linear-probe accuracies; None: a fifth of the training.
        resume: go on from the checkpoint where there is one.
        workers: processes that share each batch, through Ray Train, one GPU each where `device` is a GPU; the
            weights are those of one worker up to rounding. `folder` has to lie where all of them can write.
        tracker: where parameters and metrics go.
        on_progress: called about once a second.

    Raises:
        UsageError: an unknown name or key, options that do not fit, a folder that holds something else, a loss that
            is not finite.
        DataError: a split of another data set, a damaged checkpoint, a folder that cannot be written.
        Interrupted: Ctrl-C or SIGTERM; the checkpoint is saved.
    """
    place = resolve_device(device)
    job = Job(
        recipe=recipe,
        options=options,
        dataset=dataset,
        split=split,
        folder=folder,
        epochs=epochs,
        seed=seed,
        defences=defences,
        device=place.type if workers > 1 else device,
        precision=precision,
        threads=threads,
        checkpoint_every=checkpoint_every,
        evaluate_every=evaluate_every,
        resume=resume,
    )
    setup = job.setup()
    setup.check_workers(workers)
    workspace = job.workspace(setup)
    finished = workspace.finished()
    if finished is not None:
        return finished
    if tracker is not None:
        tracker.log_params({"recipe": recipe, "options": setup.options, **setup.facts})
        tracker.log_input(dataset_input(setup.dataset, dataset), "training")
        tracker.log_input(split_input(split), "split")
    if workers > 1:
        from latentprint.trainer.ray_workers import train_on_ray

        return train_on_ray(job, workers, workspace, tracker, on_progress)
    with Interruption() as interruption:
        exchange = Exchange(ALONE, lambda: interruption.requested)
        return run_first(job, setup, exchange, tracker, on_progress)


def untrained(
    recipe: str,
    options: Mapping[str, Any],
    dataset: DatasetSpec,
    split: Split,
    folder: Path,
    *,
    seed: int = 0,
) -> BundleCard:
    """Write a bundle of the recipe's architecture with fresh weights: the null control, trained on nobody.

    Its card says recipe "untrained"; `training["of"]` names the recipe whose architecture it has.

    Args:
        recipe: as for `train`.
        options: as for `train`.
        dataset: as for `train`.
        split: as for `train`.
        folder: as for `train`.
        seed: of the initialisation; give another than the victim's.

    Raises:
        UsageError, DataError: as `train`.
    """
    opened = dataset.open()
    split.check(opened)
    setup = Setup(make_plan(recipe, options, epochs=1), dataset, opened, split, seed)
    workspace = Workspace(folder, setup.identity(UNTRAINED))
    finished = workspace.finished()
    if finished is not None:
        return finished
    method = setup.new_method()
    scores = quality(method, opened, split, quick=False)
    training = {"of": recipe, "epochs": 0, "seed": seed, **scores, "identity": workspace.identity}
    card = setup.card(UNTRAINED, method.outputs, training)
    return workspace.publish(method.published(), method.model_args, card)
