"""Epochs of a student's training that can be stopped: the same seed gives the same weights, however often it was."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.models.student import Student
from latentprint.core.errors import UsageError
from latentprint.trainer import Position, load_checkpoint, save_checkpoint

_ORDER, _NOISE = 7, 8

Rows = NDArray[np.int64]


def train_in_epochs(
    student: Student,
    options: Distillation,
    samples: int,
    loss_of: Callable[[Rows], Tensor],
    *,
    key: str,
    seed: int,
    checkpoint: Path | None,
    after_epoch: Callable[[int, float], None],
) -> list[float]:
    """Train `student`, or go on after its last whole epoch; returns the mean loss of every epoch.

    Args:
        student: freshly initialised, on the device that it trains on.
        options: epochs, batch size, optimiser and rates.
        samples: that there are; every epoch sees each once, in an order of its own.
        loss_of: the loss of some rows, int64 [B], a scalar; it may draw from torch's generator, which is set for every
            epoch and given back as it was.
        key: digest of all that the weights depend on; a checkpoint of another training is refused.
        seed: of the orders and of what is drawn.
        checkpoint: where the place is kept that is gone on from; None keeps nothing.
        after_epoch: called with the epoch, from 0, and its loss, before the checkpoint says that it is done.

    Raises:
        UsageError: the loss is not finite.
        DataError: a damaged checkpoint, no room.
    """
    optimiser = _optimiser(student, options)
    position = Position()
    if checkpoint is not None and checkpoint.exists():
        position = load_checkpoint(checkpoint, key, student, optimiser)
    for epoch in range(position.step, options.epochs):
        for group in optimiser.param_groups:
            group["lr"] = options.rate(epoch)
        order = np.random.default_rng([seed, _ORDER, epoch]).permutation(samples)
        with torch.random.fork_rng():  # of dropout, views and their like
            torch.manual_seed(int(np.random.default_rng([seed, _NOISE, epoch]).integers(2**62)))
            loss = _epoch(student, optimiser, loss_of, np.array_split(order, -(-samples // options.batch_size)))
        _check_finite(loss, epoch, options)
        position.step = epoch + 1
        position.history.append({"loss": loss})
        after_epoch(epoch, loss)
        if checkpoint is not None:
            save_checkpoint(checkpoint, key, student, optimiser, position)
    return [point["loss"] for point in position.history]


def _epoch(student: Student, optimiser: Optimizer, loss_of: Callable[[Rows], Tensor], batches: list[Rows]) -> float:
    device = next(student.parameters()).device
    student.train()
    total = torch.zeros((), dtype=torch.float64, device=device)
    for rows in batches:
        loss = loss_of(rows)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        total += loss.detach() * len(rows)
    return float(total) / sum(map(len, batches))


def _optimiser(student: Student, options: Distillation) -> Optimizer:
    if options.optimiser == "adamw":
        return AdamW(student.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    return SGD(
        student.parameters(),
        lr=options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )


def _check_finite(loss: float, epoch: int, options: Distillation) -> None:
    if not np.isfinite(loss):
        raise UsageError(
            f"The student's loss is not finite in epoch {epoch + 1} (learning rate {options.learning_rate:g}): "
            "set a lower learning_rate in its options."
        )
