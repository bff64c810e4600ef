"""How an encoder is stolen: what is asked for, the student's architecture, and its training on the victim's answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentprint.attack_engine.asking import EndpointCard
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.models.distil import DistillationSet
from latentprint.attack_engine.models.epochs import Rows, train_in_epochs
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.models.student import Student, StudentSpec
from latentprint.attack_engine.statistics.fidelity import FEWEST_IMAGES
from latentprint.core.checks import require
from latentprint.core.datasets import Dataset, Ids
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.files import write_atomically
from latentprint.core.outputs import EMBEDDING
from latentprint.core.samples import is_vector
from latentprint.core.views.augmentations import Augmentation, augment

CHECKPOINT, EPOCHS = "checkpoint.safetensors", "epochs"  # in the folder of a theft that is under way
THEFT = "stealing"  # what answers are asked for
_DRAW = 13  # tells its stream apart from the others of a seed
_RATE_FALLS = 20  # times over a training, by a tenth each, so that the last rate is an eighth of the first
VIEWS = Augmentation(crop_scale=(0.5, 1.0), flip_probability=0.5)


@dataclass(frozen=True)
class Stealing:
    """Options of a theft.

    Attributes:
        loss: one of `STEALING_LOSSES`.
        queries: images that the victim is asked about and the student learns from.
        held_out: further images that it is asked about, which nobody learns from: fidelity is measured on them; 0
            measures none.
        architecture: of the student, a name that timm knows or one of latentprint's own.
        architecture_options: what `timm.create_model` needs beside it.
        epochs: of the student's training.
        batch_size: images a step.
        learning_rate: of AdamW, at the start.
        weight_decay: of AdamW.

    Raises:
        UsageError: an unknown loss, a number out of range.
    """

    loss: str = "mse"
    queries: int = 1000
    held_out: int = 200
    architecture: str = "resnet18_cifar_narrow"
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        STEALING_LOSSES.entry(self.loss)
        require(self.queries >= 2, "queries", self.queries, "at least 2")
        wanted = f"0, or at least {FEWEST_IMAGES}, which a fidelity needs"
        require(self.held_out == 0 or self.held_out >= FEWEST_IMAGES, "held_out", self.held_out, wanted)
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        require(0 < self.learning_rate < float("inf"), "learning_rate", self.learning_rate, "above 0 and finite")

    @property
    def asked(self) -> int:
        """Images that the victim is asked about in all."""
        return self.queries + self.held_out

    @property
    def training(self) -> Distillation:
        """Epochs, batches and rates of the student's training."""
        return Distillation(
            "embedding",
            self.epochs,
            batch_size=self.batch_size,
            optimiser="adamw",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            decay_every=max(1, self.epochs // _RATE_FALLS),
        )

    @property
    def trained_by(self) -> Mapping[str, Any]:
        """The options that a given set of answers is learned with."""
        return {name: value for name, value in asdict(self).items() if name not in {"queries", "held_out"}}


def check_victim(card: EndpointCard, sample_shape: tuple[int, ...]) -> None:
    """Whether an endpoint can be stolen from by asking about samples of this shape.

    Raises:
        UsageError: no embedding.
        EndpointError: an embedding that is no vector, a size that it does not take.
    """
    card.check_outputs((EMBEDDING,))
    card.check_sample(sample_shape, "bring --images to that with --side {side}, or name a data set of it")
    if len(card.outputs[EMBEDDING]) != 1 or card.outputs[EMBEDDING][0] < 2:
        shape = list(card.outputs[EMBEDDING])
        raise EndpointError(f"{card.url} gives an embedding of the shape {shape}: one vector an image can be stolen.")


def thief_images(options: Stealing, dataset: Dataset, ids: Ids, seed: int) -> Ids:
    """The images to be asked, int64 [`options.asked`], those that fidelity is measured on first.

    More queries only add images: the order is of the seed alone.

    Args:
        options: of the theft.
        dataset: the thief's.
        ids: those that the thief has, int64 [S], in any order.
        seed: of the draw.

    Raises:
        UsageError: fewer images than are asked, samples that are no square images, no classes for a loss that reads
            them, an architecture that is not made.
    """
    shape = dataset.sample_shape
    if is_vector(shape) or shape[0] != shape[1]:
        raise UsageError(f"Stealing asks about square images, not samples of the shape {list(shape)}.")
    student_spec(options, 1)
    if len(ids) < options.asked:
        there = "There is 1 image" if len(ids) == 1 else f"There are {len(ids)} images"
        raise UsageError(
            f"{there}, and {options.queries} queries with {options.held_out} held-out images to measure fidelity on "
            f"need {options.asked}: give more images, or lower the queries or the held-out images."
        )
    chosen = drawn_images(options, ids, seed)
    if STEALING_LOSSES.get(options.loss).reads_classes:
        _check_classes(dataset, chosen[options.held_out :], options.loss)
    return chosen


def drawn_images(options: Stealing, ids: Ids, seed: int) -> Ids:
    """What `thief_images` draws of images that were checked."""
    return np.random.default_rng([seed, _DRAW]).permutation(np.sort(ids))[: options.asked]


def _check_classes(dataset: Dataset, ids: Ids, loss: str) -> None:
    if "class" not in dataset.labels or len(np.unique(dataset.labels["class"][ids])) < 2:
        raise UsageError(
            f"The loss {loss} reads each image's class, and these images have none that differ: sort them into folders "
            "named after their classes, or steal by another loss."
        )


def student_spec(options: Stealing, width: int) -> StudentSpec:
    """The student's architecture, with a linear projection on top where its own embedding is not of the victim's width.

    Args:
        options: name it.
        width: of the victim's embedding.

    Raises:
        UsageError: an architecture that is not known, or that these options do not make.
    """
    import timm  # here and not above: only who makes a student waits for it

    from latentprint.core import architectures

    architectures.register()
    architectures.check_known(options.architecture)
    arguments = {**options.architecture_options, "num_classes": 0}
    try:
        with torch.device("meta"):
            own = int(timm.create_model(options.architecture, **arguments).num_features)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"timm does not make the student {options.architecture!r} with {arguments}: {reason}"
        ) from None
    if own == width:
        return StudentSpec(options.architecture, arguments)
    return StudentSpec("projected", {"of": options.architecture, "of_args": arguments, "width": width})


def steal(
    student: Student,
    options: Stealing,
    examples: DistillationSet,
    classes: Ids,
    work: Path,
    *,
    key: str,
    seed: int,
) -> list[float]:
    """Train `student` on the victim's answers; returns the mean loss of every epoch.

    The victim answered each whole image once. A student whose loss tells images apart sees views of them, crops of half
    their area or more and their mirror images, so that views of one image lie together as the victim has the image.

    Args:
        student: freshly initialised, on the device that it trains on.
        options: how.
        examples: images uint8 [Q, H, W, 3] and embeddings float32 [Q, D].
        classes: int64 [Q], for a loss that reads them.
        work: folder of the checkpoint, which an interrupted training goes on from, and of the losses so far.
        key: digest of all that the weights depend on.
        seed: of orders and views.

    Raises:
        UsageError: the loss is not finite.
        DataError: a damaged checkpoint, no room.
    """
    loss, side = STEALING_LOSSES.get(options.loss), examples.samples.shape[1]

    def loss_of(rows: Rows) -> Tensor:
        device = next(student.parameters()).device
        images = torch.from_numpy(examples.samples[rows]).to(device)
        if loss.contrasts:
            images = augment(images, VIEWS, torch.default_generator, side)
        answers = torch.from_numpy(examples.answers[rows]).to(device)
        return loss.function(student(student.inputs(images)), answers, torch.from_numpy(classes[rows]).to(device))

    return train_in_epochs(
        student,
        options.training,
        len(examples.samples),
        loss_of,
        key=key,
        seed=seed,
        checkpoint=work / CHECKPOINT,
        after_epoch=lambda epoch, _: write_atomically(work / EPOCHS, str(epoch + 1).encode()),
    )
