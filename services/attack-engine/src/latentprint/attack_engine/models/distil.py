"""Teach a student to answer as a model does, from answers that were asked once; a snapshot after every epoch."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.models.epochs import Rows, train_in_epochs
from latentprint.attack_engine.models.snapshots import SnapshotStore
from latentprint.attack_engine.models.student import Student
from latentprint.core.outputs import POSTERIOR
from latentprint.core.samples import Samples

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

    def loss_of(rows: Rows) -> Tensor:
        device = next(student.parameters()).device
        inputs = student.inputs(torch.from_numpy(examples.samples[rows]).to(device))
        answers = torch.from_numpy(examples.answers[rows]).to(device)
        return distillation_loss(student(inputs), answers, student.output)

    def after_epoch(epoch: int, _loss: float) -> None:
        if store is not None:
            store.write(epoch, student)

    losses = train_in_epochs(
        student,
        options,
        len(examples.samples),
        loss_of,
        key=key,
        seed=seed,
        checkpoint=None if store is None else store.checkpoint,
        after_epoch=after_epoch,
    )
    if store is not None:
        store.finish(losses)


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
