"""Supervised classifier: the victim that answers posteriors."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Generator, Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from leakscope.core.encoders import EMBEDDING, FEATURE_MAP, POSTERIOR
from leakscope.core.errors import UsageError
from leakscope.core.views.augmentations import MAE, Augmentation
from leakscope.trainer.recipes.norms import Norm, norm_arguments
from leakscope.trainer.recipes.optimisers import sgd
from leakscope.trainer.recipes.per_record import PerRecordMethod


@dataclass(frozen=True)
class Supervised:
    """Options of `supervised`.

    Attributes:
        architecture: the backbone.
        batch_size: images a step.
        learning_rate: peak learning rate of SGD.
        weight_decay: of SGD.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop.
        flip: probability of a horizontal flip.
        label_smoothing: of the cross-entropy.
        norm: "batch", or "group", where no image's answer depends on the others even in training.
    """

    architecture: Literal["resnet18_cifar", "resnet18_cifar_narrow"] = "resnet18_cifar_narrow"
    batch_size: int = 50
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    warmup: float = 0.05
    crop_scale_from: float = 0.8
    flip: float = 0.5
    label_smoothing: float = 0.0
    norm: Norm = "batch"

    held_constant: ClassVar[str] = ""

    @property
    def augmentation(self) -> Augmentation:
        """Crop and flip."""
        return replace(MAE, crop_scale=(self.crop_scale_from, 1.0), flip_probability=self.flip)

    def build(self, side: int, classes: int) -> "SupervisedMethod":
        """See `Recipe.build`."""
        del side
        if classes < 2:
            raise UsageError("The recipe 'supervised' needs at least two classes; this data set has one.")
        return SupervisedMethod(self, classes)


class SupervisedMethod(PerRecordMethod):
    """Cross-entropy on the class label; the posterior is public beside embedding and feature map."""

    outputs = (EMBEDDING, FEATURE_MAP, POSTERIOR)

    def __init__(self, options: Supervised, classes: int) -> None:
        super().__init__(options.architecture, {"num_classes": classes, **norm_arguments(options.norm)})
        self.options = options
        self.augmentation = options.augmentation

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return sgd([self], self.options.learning_rate, self.options.weight_decay)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """One view, and the class."""
        del progress
        view = self.view(images, self.augmentation, generator, images.shape[1])
        return {"view": view, "labels": self.workers.mine(labels)}

    def forward(self, view: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each record, float [b]."""
        smoothing = self.options.label_smoothing
        return cross_entropy(self.backbone(view).float(), labels, label_smoothing=smoothing, reduction="none")
