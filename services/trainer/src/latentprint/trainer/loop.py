"""The one training loop: the same for every recipe, resumable at every step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.trainer.checkpoint import Position
from latentprint.trainer.members import (
    TrainingSamples,
    epoch_batches,
    identity_batches,
    poisson_batches,
    steps_per_epoch,
)
from latentprint.trainer.recipes.base import Method
from latentprint.trainer.schedule import Schedule
from latentprint.trainer.streams import stream_seed
from latentprint.trainer.updates import Update


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs to know.

    Attributes:
        epochs: length of the schedule.
        stop_after: epochs to train.
        batch_size: images a step, at most.
        learning_rate: peak.
        schedule: of the learning rate.
        seed: of every draw.
        poisson: whether each step takes each member by itself with the same probability, rather than every member
            once an epoch.
        images_of_each: images of each label in a step, for a method that compares them; 0 where a step takes members
            whatever their label.
    """

    epochs: int
    stop_after: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    seed: int
    poisson: bool = False
    images_of_each: int = 0


@dataclass(frozen=True)
class EpochResult:
    """One whole epoch: its number from 1, the mean loss over its images and the last learning rate."""

    epoch: int
    loss: float
    learning_rate: float


class Loop:
    """Trains `method` on `members` from `position` on.

    A step's randomness depends on the seed and the step alone, so a loop that starts from a checkpoint goes on
    bit for bit as if it had never stopped.
    """

    def __init__(
        self, method: Method, update: Update, members: TrainingSamples, settings: LoopSettings, position: Position
    ) -> None:
        self.method = method
        self.update = update
        self.members = members
        self.settings = settings
        self.position = position
        self.steps_per_epoch = steps_per_epoch(len(members), settings.batch_size)
        self._total = settings.epochs * self.steps_per_epoch
        self._generator = Generator(members.images.device)
        self._loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=members.images.device)

    @property
    def _finished(self) -> bool:
        return self.position.step >= self.settings.stop_after * self.steps_per_epoch

    def run(self, on_step: Callable[[], None], on_epoch: Callable[[EpochResult], None]) -> None:
        """Train until the last epoch, calling `on_step` after each step and `on_epoch` after each epoch.

        Raises:
            UsageError: the loss is not finite, or the weights are not after the last step, or what was trained is no
                victim.
        """
        self.method.train()
        while not self._finished:
            epoch, done = divmod(self.position.step, self.steps_per_epoch)
            batches = self._batches(epoch)
            for batch in batches[done:]:
                started = time.perf_counter()
                rate = self._step(batch.to(self.members.images.device))
                self.position.seconds += time.perf_counter() - started
                self.position.step += 1
                if self.position.step % self.steps_per_epoch:
                    on_step()
            loss = self.finite_loss_sum() / max(1, sum(map(len, batches)))
            self._loss_sum.zero_()
            if self._finished:
                self._check_weights()
                self.method.check_trained(loss)
            on_epoch(EpochResult(epoch + 1, loss, rate))
            on_step()

    def _batches(self, epoch: int) -> list[Tensor]:
        settings = self.settings
        if settings.images_of_each:
            labels = self.members.labels.cpu()
            return identity_batches(labels, settings.batch_size, settings.images_of_each, settings.seed, epoch)
        draw = poisson_batches if settings.poisson else epoch_batches
        return draw(len(self.members), settings.batch_size, settings.seed, epoch)

    def _step(self, batch: Tensor) -> float:
        step = self.position.step
        progress = step / self._total
        settings = self.settings
        rate = settings.learning_rate * settings.schedule.factor(step, self._total, self.steps_per_epoch)
        for group in self.update.optimiser.param_groups:
            group["lr"] = rate
        self._generator.manual_seed(stream_seed(settings.seed, "step", step))
        images = self.members.images.index_select(0, batch)  # whole rows at a time, which indexing does not copy
        labels = self.members.labels.index_select(0, batch)
        loss = self.update(images, labels, self._generator, progress)
        self.method.after_step(progress)
        self._loss_sum += loss * len(batch)
        return rate

    def finite_loss_sum(self) -> float:
        """Sum of this epoch's losses so far; a checkpoint is only worth saving where it is finite.

        Raises:
            UsageError: it is not, with the epoch and what to try.
        """
        loss_sum = float(self._loss_sum)
        if math.isfinite(loss_sum):
            return loss_sum
        raise self._diverged("loss is")

    def _check_weights(self) -> None:
        """Raise `UsageError` for weights that are not finite: a step's loss is that of the weights before it."""
        state = self.method.state_dict().values()
        if not all(bool(tensor.isfinite().all()) for tensor in state if tensor.is_floating_point()):
            raise self._diverged("weights are")

    def _diverged(self, what: str) -> UsageError:
        epoch = (self.position.step - 1) // self.steps_per_epoch + 1
        return UsageError(
            f"The {what} not finite in epoch {epoch} (learning rate {self.settings.learning_rate:g}): "
            "set a lower learning_rate or a longer warmup, or train with precision fp32."
        )
