"""What surrounds the loop: checkpoints, progress, metrics, evaluation, and stopping when asked."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from leakscope.core.datasets.base import Dataset
from leakscope.core.encoders import EMBEDDING, Encoder
from leakscope.core.errors import Interrupted, UsageError
from leakscope.core.splits import Split
from leakscope.trainer.checkpoint import save_checkpoint
from leakscope.trainer.evaluation import evaluate
from leakscope.trainer.interruption import Interruption
from leakscope.trainer.loop import EpochResult, Loop
from leakscope.trainer.progress import Progress, Reporter, State
from leakscope.trainer.recipes.base import MEAN, STD, Method
from leakscope.trainer.workspace import Workspace

_CHECKPOINT_SECONDS = 30.0
_LOGGED_EPOCHS = 200


class Tracker(Protocol):
    """Where parameters, metrics over epochs and files are logged; `leakscope.core.tracking.Run` is one."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters once."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one epoch."""
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


def quality(method: Method, dataset: Dataset, split: Split, *, probe: bool) -> dict[str, float]:
    """Accuracies of what `method` would publish now; leaves it in training mode."""
    encoder = Encoder(method.published(), [EMBEDDING], MEAN, STD).to(next(method.parameters()).device)
    scores = evaluate(encoder, dataset, split, probe=probe)
    method.train()
    return scores


class Session:
    """One run of one training, from a fresh start or a checkpoint to the last epoch."""

    def __init__(
        self,
        loop: Loop,
        workspace: Workspace,
        reporter: Reporter,
        rhythm: Rhythm,
        tracker: Tracker | None,
        data: tuple[Dataset, Split],
    ) -> None:
        self.loop = loop
        self._workspace = workspace
        self._reporter = reporter
        self._rhythm = rhythm
        self._tracker = tracker
        self._data = data
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
        with Interruption() as interruption:
            self.loop.run(lambda: self._on_step(interruption), self._on_epoch)

    def finish(self, knn_accuracy: float | None) -> None:
        """Tell that the bundle is written, and how good its features are."""
        self._knn = knn_accuracy
        self._report("finished")

    def _report(self, state: State) -> None:
        self._reporter.report(self._progress(state))

    def _on_step(self, interruption: Interruption) -> None:
        if interruption.requested:
            self._stop()
        if self._reporter.due():
            self._report("training")
        if self._rhythm.checkpoint is None and time.monotonic() - self._saved > _CHECKPOINT_SECONDS:
            self._save()

    def _on_epoch(self, result: EpochResult) -> None:
        self.loss = result.loss
        metrics = {"loss": result.loss, "learning_rate": result.learning_rate}
        last = result.epoch == self.loop.settings.stop_after
        if not last and result.epoch % self._rhythm.evaluation == 0:
            scores = quality(self.loop.method, *self._data, probe=False)
            self._knn = scores.get("knn_accuracy")
            self.loop.position.history.append({"epoch": result.epoch, "loss": result.loss, **scores})
            metrics |= scores
        if self._tracker is not None and (last or result.epoch % self._log_every == 0 or len(metrics) > 2):
            self._tracker.log_metrics(metrics, result.epoch)
        if not last and self._rhythm.checkpoint and result.epoch % self._rhythm.checkpoint == 0:
            self._save()

    def _save(self) -> None:
        loop = self.loop
        loop.position.loss_sum = loop.finite_loss_sum()
        save_checkpoint(
            self._workspace.checkpoint, self._workspace.identity, loop.method, loop.optimiser, loop.position
        )
        self._saved = time.monotonic()

    def _stop(self) -> None:
        self._save()
        self._report("interrupted")
        progress = self._progress("interrupted")
        raise Interrupted(
            f"Stopped on request after {progress.epoch} of {progress.epochs} epochs; everything is saved in "
            f"{self._workspace.checkpoint.parent}. To go on, give the same command with --resume."
        )

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
