"""Supervised classifier: the victim that answers posteriors."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from torch import Generator, Tensor
from torch.nn import functional
from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR
from latentprint.core.samples import Size
from latentprint.core.views.augmentations import MAE, Augmentation
from latentprint.trainer.recipes.classifiers import PERCEPTRON, Architecture, classifier_arguments
from latentprint.trainer.recipes.norms import Norm
from latentprint.trainer.recipes.optimisers import sgd
from latentprint.trainer.recipes.per_record import PerRecordMethod
from latentprint.trainer.schedule import Schedule, StepDecay, WarmupCosine


@dataclass(frozen=True)
class Supervised:
    """Options of `supervised`.

    Attributes:
        architecture: the backbone; "mlp" for vectors, the others for images.
        architecture_options: of its size: width (channels of the first stage), or hidden (widths of a perceptron).
        batch_size: images a step.
        learning_rate: peak learning rate of SGD.
        weight_decay: of SGD.
        schedule: of the learning rate after the warm-up: "cosine", or "steps", by 0.9 every 5 epochs.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop, and with no flip no augmentation.
        flip: probability of a horizontal flip.
        label_smoothing: of the cross-entropy.
        norm: "batch", or "group", where no image's answer depends on the others even in training.
    """

    architecture: Architecture = "resnet18_cifar_narrow"
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 50
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "steps"] = "cosine"
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

    @property
    def rates(self) -> Schedule:
        """See `Scheduled.rates`."""
        return StepDecay(self.warmup) if self.schedule == "steps" else WarmupCosine(self.warmup)

    def for_vectors(self, features: int) -> Self:
        """See `VectorRecipe.for_vectors`."""
        if self.architecture != PERCEPTRON:
            raise UsageError(f"The architecture {self.architecture!r} takes images; for vectors set it to 'mlp'.")
        if self.crop_scale_from != 1.0 or self.flip:
            raise UsageError("Vectors are neither cropped nor flipped: set crop_scale_from to 1.0 and flip to 0.")
        if self.architecture_options.get("in_features", features) != features:
            raise UsageError(f"architecture_options: in_features must be {features}, as the vectors are, or left out.")
        return replace(self, architecture_options={**self.architecture_options, "in_features": features})

    def build(self, size: Size, classes: int) -> "SupervisedMethod":
        """See `Recipe.build`."""
        self.check(size, classes)
        return SupervisedMethod(self, classes)

    def check(self, size: Size, classes: int) -> None:
        """Raise `UsageError` for samples that no classifier can be trained on."""
        if classes < 2:
            raise UsageError(
                "A classifier needs at least two classes; this data set has one. In a folder of your own, subfolders "
                "are the classes."
            )
        if size and self.architecture == PERCEPTRON:
            raise UsageError(f"The architecture {self.architecture!r} takes vectors; for images choose another.")


class SupervisedMethod(PerRecordMethod):
    """Cross-entropy on the class label; the posterior is public beside embedding and feature map."""

    outputs = (EMBEDDING, FEATURE_MAP, POSTERIOR)

    def __init__(self, options: Supervised, classes: int) -> None:
        arguments = classifier_arguments(options.architecture, options.architecture_options, options.norm, classes)
        super().__init__(options.architecture, arguments)
        self.options = options
        self.augmentation = options.augmentation

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return sgd([self], self.options.learning_rate, self.options.weight_decay)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """One view, and the class."""
        del progress
        view = self.view(images, self.augmentation, generator)
        return {"view": view, "labels": self.workers.mine(labels)}

    def forward(self, view: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each record, float [b]."""
        return self.cross_entropy(self.backbone(view).float(), labels)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each record, float [b], from logits [b, C] and classes int64 [b]."""
        smoothing = self.options.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
