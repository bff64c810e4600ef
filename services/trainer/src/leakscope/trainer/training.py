"""Train a victim: the one public way, for the command line and for the attack engine's workers alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leakscope.core.bundles import BundleCard
from leakscope.core.datasets.base import DatasetSpec
from leakscope.core.splits import Split
from leakscope.core.threads import using_threads
from leakscope.trainer.checkpoint import Position, load_checkpoint
from leakscope.trainer.device import Precision, resolve_autocast, resolve_device
from leakscope.trainer.loop import Loop
from leakscope.trainer.members import load_members
from leakscope.trainer.plan import DefenceSpec, make_plan
from leakscope.trainer.progress import OnProgress, Reporter
from leakscope.trainer.session import Rhythm, Session, Tracker, quality
from leakscope.trainer.setup import Setup
from leakscope.trainer.workspace import Workspace

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
        evaluate_every: epochs between k-NN evaluations; None: a fifth of the training.
        resume: go on from the checkpoint where there is one.
        tracker: where parameters and metrics go.
        on_progress: called about once a second.

    Raises:
        UsageError: an unknown name or key, options that do not fit, a folder that holds something else, a loss that
            is not finite.
        DataError: a split of another data set, a damaged checkpoint, a folder that cannot be written.
        Interrupted: Ctrl-C or SIGTERM; the checkpoint is saved.
    """
    plan = make_plan(recipe, options, epochs, defences)
    place = resolve_device(device)
    opened = dataset.open()
    split.check(opened)
    setup = Setup(plan, dataset, opened, split, seed, defences, place, resolve_autocast(precision, place))
    workspace = Workspace(folder, setup.identity("trained"))
    finished = workspace.finished()
    if finished is not None:
        return finished
    rhythm = Rhythm(checkpoint_every, evaluate_every if evaluate_every is not None else max(1, plan.stop_after // 5))
    reporter = Reporter(workspace.progress, on_progress)
    with using_threads(threads):
        loop = _new_loop(setup, workspace, resume)
        session = Session(loop, workspace, reporter, rhythm, tracker, (opened, split))
        if tracker is not None:
            tracker.log_params({"recipe": recipe, "options": setup.options, **setup.facts})
        return _train(setup, session, workspace, tracker)


def _new_loop(setup: Setup, workspace: Workspace, resume: bool) -> Loop:
    members = load_members(setup.dataset, setup.split, setup.device)
    method = setup.new_method()
    optimiser = method.optimiser()
    position = Position()
    if resume and workspace.checkpoint.exists():
        position = load_checkpoint(workspace.checkpoint, workspace.identity, method, optimiser)
    return Loop(method, optimiser, members, setup.loop_settings(), position)


def _train(setup: Setup, session: Session, workspace: Workspace, tracker: Tracker | None) -> BundleCard:
    session.run()
    method, position = session.loop.method, session.loop.position
    scores = quality(method, setup.dataset, setup.split, probe=True)
    summary = {"loss": session.loss, "seconds": position.seconds, "history": position.history, **scores}
    training = {**setup.facts, **summary, "identity": workspace.identity}
    card = workspace.publish(method, setup.card(setup.plan.recipe, method.outputs, training))
    if tracker is not None:
        tracker.log_metrics({**scores, "seconds": position.seconds}, setup.plan.stop_after)
    session.finish(scores.get("knn_accuracy"))
    return card


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
    scores = quality(method, opened, split, probe=True)
    training = {"of": recipe, "epochs": 0, "seed": seed, **scores, "identity": workspace.identity}
    return workspace.publish(method, setup.card(UNTRAINED, method.outputs, training))
