"""Teach a student to answer as a model does, from answers that were asked once; a snapshot after every epoch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax
from torch.optim import SGD, AdamW, Optimizer

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.models.snapshots import SnapshotStore
from latentprint.attack_engine.models.student import Student
from latentprint.core.errors import UsageError
from latentprint.core.outputs import POSTERIOR
from latentprint.core.samples import Samples
from latentprint.trainer import Position, load_checkpoint, save_checkpoint

_ORDER, _NOISE = 7, 8
_SMALLEST = 1e-30


@dataclass(frozen=True)
class DistillationSet:
    """What a student learns from: samples with the teacher's answers.

    Attributes:
        samples: uint8 [Q, H, W, 3] or float32 [Q, F].
        answers: float32 [Q, ...], the teacher's.
    """

    samples: Samples
    answers: NDArray[np.float32]


def distil(
    student: Student,
    options: Distillation,
    examples: DistillationSet,
    store: SnapshotStore | None,
    *,
    key: str,
    seed: int,
) -> None:
    """Train `student` and leave its snapshots in `store`; what was stopped goes on after its last whole epoch.

    The same seed, machine and thread count give the same snapshots bit for bit, however often it was stopped.

    Args:
        student: freshly initialised, on the device that it trains on.
        options: how.
        examples: samples and answers.
        store: where snapshots go; None keeps nothing of the way.
        key: digest of all that the snapshots depend on; a checkpoint of another distillation is refused.
        seed: of the order of the samples and of dropout.

    Raises:
        UsageError: the loss is not finite.
        DataError: a damaged checkpoint, no room.
    """
    if store is not None and store.losses is not None:
        return
    optimiser = _optimiser(student, options)
    position = Position()
    if store is not None and store.checkpoint.exists():
        position = load_checkpoint(store.checkpoint, key, student, optimiser)
    for epoch in range(position.step, options.epochs):
        for group in optimiser.param_groups:
            group["lr"] = options.rate(epoch)
        order = np.random.default_rng([seed, _ORDER, epoch]).permutation(len(examples.samples))
        with torch.random.fork_rng():  # of dropout and its like
            torch.manual_seed(int(np.random.default_rng([seed, _NOISE, epoch]).integers(2**62)))
            loss = _epoch(student, optimiser, examples, np.array_split(order, -(-len(order) // options.batch_size)))
        _check_finite(loss, epoch, options)
        position.step = epoch + 1
        position.history.append({"loss": loss})
        if store is not None:
            store.write(epoch, student)
            save_checkpoint(store.checkpoint, key, student, optimiser, position)
    if store is not None:
        store.finish([point["loss"] for point in position.history])


def distillation_loss(student_answer: Tensor, teacher_answer: Tensor, output: str) -> Tensor:
    """Mean over samples of KL(teacher || student) for posteriors; else of the squared error over the mean square.

    Args:
        student_answer: logits [B, C] for "posterior", else answers [B, ..., D].
        teacher_answer: posteriors [B, C], else answers of the same shape.
        output: which output.
    """
    if output == POSTERIOR:
        target = teacher_answer.clamp_min(_SMALLEST)
        return kl_div(log_softmax(student_answer.float(), dim=-1), target, reduction="batchmean")
    scale = teacher_answer.square().mean().clamp_min(_SMALLEST)
    return (student_answer.float() - teacher_answer).square().mean() / scale


def _epoch(
    student: Student, optimiser: Optimizer, examples: DistillationSet, batches: list[NDArray[np.int64]]
) -> float:
    device = next(student.parameters()).device
    student.train()
    total = torch.zeros((), dtype=torch.float64, device=device)
    for rows in batches:
        inputs = student.inputs(torch.from_numpy(examples.samples[rows]).to(device))
        answers = torch.from_numpy(examples.answers[rows]).to(device)
        loss = distillation_loss(student(inputs), answers, student.output)
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
            f"The distillation's loss is not finite in epoch {epoch + 1} (learning rate {options.learning_rate:g}): "
            "set a lower learning_rate in its options."
        )
