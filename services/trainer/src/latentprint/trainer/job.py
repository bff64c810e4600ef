"""One training as every one of its workers is told it, and what a worker does with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from latentprint.core.bundles import BundleCard
from latentprint.core.datasets.base import DatasetSpec
from latentprint.core.errors import Interrupted
from latentprint.core.splits import Split
from latentprint.core.threads import using_threads
from latentprint.trainer.checkpoint import Position, load_checkpoint
from latentprint.trainer.device import Precision, resolve_autocast, resolve_device
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.loop import Loop
from latentprint.trainer.members import load_members, load_validation
from latentprint.trainer.plan import DefenceSpec, make_plan
from latentprint.trainer.progress import OnProgress, Reporter
from latentprint.trainer.recipes.base import Method, label_of, needs_validation
from latentprint.trainer.session import MetricsLog, Rhythm, Session, quality
from latentprint.trainer.setup import Setup
from latentprint.trainer.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """The arguments of `train` that determine what is computed; small and picklable."""

    recipe: str
    options: Mapping[str, Any]
    dataset: DatasetSpec
    split: Split
    folder: Path
    epochs: int
    seed: int
    defences: Sequence[DefenceSpec]
    device: str
    precision: Precision
    threads: int | None
    checkpoint_every: int | None
    evaluate_every: int | None
    resume: bool

    def setup(self) -> Setup:
        """The training before it starts, with the data set opened and the options checked. Errors as for `train`."""
        plan = make_plan(self.recipe, self.options, self.epochs, self.defences)
        place = resolve_device(self.device)
        opened = self.dataset.open()
        self.split.check(opened)
        autocast = resolve_autocast(self.precision, place)
        return Setup(plan, self.dataset, opened, self.split, self.seed, self.defences, place, autocast)

    def workspace(self, setup: Setup) -> Workspace:
        """Where everything is kept."""
        return Workspace(self.folder, setup.identity("trained"))

    def rhythm(self, setup: Setup) -> Rhythm:
        """Of checkpoints and accuracies."""
        evaluation = self.evaluate_every if self.evaluate_every is not None else max(1, setup.plan.stop_after // 5)
        return Rhythm(self.checkpoint_every, evaluation)


def run_first(
    job: Job, setup: Setup, exchange: Exchange, tracker: MetricsLog | None, on_progress: OnProgress | None
) -> BundleCard:
    """What the first worker does: train, keep checkpoints, measure, log, and publish. Errors as for `train`."""
    workspace, rhythm = job.workspace(setup), job.rhythm(setup)
    reporter = Reporter(workspace.progress, on_progress)
    with using_threads(job.threads):
        loop = _new_loop(job, setup, exchange)
        session = Session(loop, workspace, reporter, rhythm, tracker, (setup.dataset, setup.split), setup.spent)
        session.run()
        return _conclude(setup, session, workspace, tracker)


def run_other(job: Job, setup: Setup, exchange: Exchange) -> None:
    """What any other worker does: take the same steps, until the end or until all stop."""

    def on_step() -> None:
        if exchange.stop:
            raise Interrupted("all workers stop")

    with using_threads(job.threads):
        try:
            _new_loop(job, setup, exchange).run(on_step, lambda result: None)
        except Interrupted:
            return


def new_loop(setup: Setup, exchange: Exchange, restore: Callable[[Method, Optimizer], Position]) -> Loop:
    """The loop of one worker; `restore` puts back what was trained before, and says where it stood."""
    members = load_members(setup.dataset, setup.split, setup.device, label_of(setup.plan.options))
    method = setup.new_method()
    method.workers = exchange.workers
    if exchange.workers.size > 1:
        from latentprint.trainer.batch_norm import join_batch_norms  # with timm, only where it is of use

        join_batch_norms(method, exchange.workers)
    if needs_validation(setup.plan.options):
        method.validation = load_validation(setup.dataset, setup.split, setup.device)
    update = setup.new_update(method, exchange)
    return Loop(method, update, members, setup.loop_settings(), restore(method, update.optimiser))


def _new_loop(job: Job, setup: Setup, exchange: Exchange) -> Loop:
    workspace = job.workspace(setup)

    def restore(method: Method, optimiser: Optimizer) -> Position:
        if job.resume and workspace.checkpoint.exists():
            return load_checkpoint(workspace.checkpoint, workspace.identity, method, optimiser)
        return Position()

    return new_loop(setup, exchange, restore)


def _conclude(setup: Setup, session: Session, workspace: Workspace, tracker: MetricsLog | None) -> BundleCard:
    method, position = session.loop.method, session.loop.position
    scores = quality(method, setup.dataset, setup.split, quick=False)
    spent = setup.spent(position.step)
    summary = {"loss": session.loss, "seconds": position.seconds, "history": position.history, **scores, **spent}
    origin = {} if setup.plan.of_recipe is None else {"of_recipe": setup.plan.of_recipe}
    training = {**setup.facts, **origin, **summary, "identity": workspace.identity}
    drawn_up = setup.card(setup.plan.recipe, method.outputs, training)
    card = workspace.publish(method.published(), method.model_args, drawn_up)
    if tracker is not None:
        tracker.log_metrics({**scores, "seconds": position.seconds}, setup.plan.stop_after)
    session.finish(scores.get("knn_accuracy"))
    return card
