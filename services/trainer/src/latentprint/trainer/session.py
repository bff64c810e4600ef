"""What surrounds the loop: checkpoints, progress, metrics, evaluation, and stopping when asked."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from latentprint.core.datasets.base import Dataset
from latentprint.core.encoders import Encoder
from latentprint.core.errors import Interrupted, UsageError
from latentprint.core.outputs import EMBEDDING, POSTERIOR
from latentprint.core.splits import Split
from latentprint.core.tracking.inputs import Input
from latentprint.trainer.checkpoint import save_checkpoint
from latentprint.trainer.evaluation import evaluate
from latentprint.trainer.loop import EpochResult, Loop
from latentprint.trainer.progress import Progress, Reporter, State
from latentprint.trainer.recipes.base import Method, normalisation
from latentprint.trainer.workspace import Workspace

_CHECKPOINT_SECONDS = 30.0
_LOGGED_EPOCHS = 200


class MetricsLog(Protocol):
    """Where metrics over epochs are logged."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one epoch."""
        ...


class Tracker(MetricsLog, Protocol):
    """Where parameters, metrics over epochs and files are logged; `latentprint.core.tracking.Run` is one."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters once."""
        ...

    def log_input(self, what: Input, context: str) -> None:
        """Log a data set or a split that is trained on."""
        ...

    def log_artifact(self, path: Path) -> None:
        """Log a file."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...


@dataclass(frozen=True)
class Rhythm:
    """How often, in epochs: a checkpoint (None: every half minute), and a k-NN accuracy.

    Raises:
        UsageError: less than one epoch.
    """

    checkpoint: int | None
    evaluation: int

    def __post_init__(self) -> None:
        if self.evaluation < 1 or (self.checkpoint is not None and self.checkpoint < 1):
            raise UsageError("checkpoint_every and evaluate_every count epochs: give at least 1.")


def quality(method: Method, dataset: Dataset, split: Split, *, quick: bool) -> dict[str, float]:
    """Accuracies of what `method` would publish now (see `evaluate`); leaves it in training mode."""
    mean, std = normalisation(dataset.sample_shape)
    outputs = [output for output in method.outputs if output in (EMBEDDING, POSTERIOR)]
    encoder = Encoder(method.published(), outputs, mean, std).to(next(method.parameters()).device)
    scores = evaluate(encoder, dataset, split, quick=quick)
    method.train()
    return scores


def interrupted(progress: Progress | None, workspace: Workspace) -> Interrupted:
    """What to tell of a training that stopped where `progress` says."""
    done = f" after {progress.epoch} of {progress.epochs} epochs" if progress else ""
    return Interrupted(
        f"Stopped on request{done}; everything is saved in {workspace.checkpoint.parent}. "
        "To go on, give the same command with --resume."
    )


class Session:
    """One run of one training, from a fresh start or a checkpoint to the last epoch.

    Args:
        loop: what trains.
        workspace: where everything is kept.
        reporter: of progress.
        rhythm: of checkpoints and accuracies.
        tracker: of metrics.
        data: the data set and the split.
        spent: metrics of what was used up by so many steps, such as a privacy budget.
    """

    def __init__(
        self,
        loop: Loop,
        workspace: Workspace,
        reporter: Reporter,
        rhythm: Rhythm,
        tracker: MetricsLog | None,
        data: tuple[Dataset, Split],
        spent: Callable[[int], Mapping[str, float]],
    ) -> None:
        self.loop = loop
        self._workspace = workspace
        self._reporter = reporter
        self._rhythm = rhythm
        self._tracker = tracker
        self._data = data
        self._spent = spent
        self._saved = time.monotonic()
        self._started = (loop.position.step, loop.position.seconds)
        self._log_every = max(1, loop.settings.stop_after // _LOGGED_EPOCHS)
        self._knn: float | None = None
        self.loss: float | None = None

    def run(self) -> None:
        """Train to the end.

        Raises:
            Interrupted: asked to stop; everything is saved.
            UsageError: the loss is not finite.
            DataError: a checkpoint cannot be written.
        """
        self._report("training")
        self.loop.run(self._on_step, self._on_epoch)

    def finish(self, knn_accuracy: float | None) -> None:
        """Tell that the bundle is written, and how good its features are."""
        self._knn = knn_accuracy
        self._report("finished")

    def _report(self, state: State) -> None:
        self._reporter.report(self._progress(state))

    def _on_step(self) -> None:
        if self.loop.update.exchange.stop:
            self._stop()
        if self._reporter.due():
            self._report("training")
        if self._rhythm.checkpoint is None and time.monotonic() - self._saved > _CHECKPOINT_SECONDS:
            self._save()

    def _on_epoch(self, result: EpochResult) -> None:
        self.loss = result.loss
        last = result.epoch == self.loop.settings.stop_after
        scores: Mapping[str, float] = {}
        if not last and result.epoch % self._rhythm.evaluation == 0:
            scores = quality(self.loop.method, *self._data, quick=True)
            self._knn = scores.get("knn_accuracy")
            self.loop.position.history.append({"epoch": result.epoch, "loss": result.loss, **scores})
        if last or scores or result.epoch % self._log_every == 0:
            self._log(result, scores)
        if not last and self._rhythm.checkpoint and result.epoch % self._rhythm.checkpoint == 0:
            self._save()

    def _log(self, result: EpochResult, scores: Mapping[str, float]) -> None:
        if self._tracker is None:
            return
        speed = self._progress("training").images_per_second
        metrics = {"loss": result.loss, "learning_rate": result.learning_rate, "images_per_second": speed}
        self._tracker.log_metrics({**metrics, **scores, **self._spent(self.loop.position.step)}, result.epoch)

    def _save(self) -> None:
        loop = self.loop
        loop.position.loss_sum = loop.finite_loss_sum()
        save_checkpoint(
            self._workspace.checkpoint, self._workspace.identity, loop.method, loop.update.optimiser, loop.position
        )
        self._saved = time.monotonic()

    def _stop(self) -> None:
        self._save()
        self._report("interrupted")
        raise interrupted(self._progress("interrupted"), self._workspace)

    def _progress(self, state: State) -> Progress:
        position, settings = self.loop.position, self.loop.settings
        members, steps = len(self.loop.members), self.loop.steps_per_epoch
        per_step = members / steps
        done, total = position.step * per_step, settings.stop_after * members
        first_step, first_seconds = self._started
        spent = position.seconds - first_seconds
        rate = (position.step - first_step) * per_step / spent if spent > 0 else 0.0
        return Progress(
            state=state,
            epoch=position.step // steps,
            epochs=settings.stop_after,
            images=round(done),
            images_total=total,
            images_per_second=rate,
            seconds_left=(total - done) / rate if rate > 0 else None,
            loss=self.loss,
            knn_accuracy=self._knn,
        )
