"""What recipes on two augmented views of an image share: a ResNet, SGD and the augmentation."""

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.views.augmentations import MOCO, MOCO_WEAK, Augmentation
from latentprint.trainer.recipes.base import Method
from latentprint.trainer.recipes.optimisers import sgd

_PRESETS = {"standard": MOCO, "weak": MOCO_WEAK}
_FEWEST = 4  # so that no batch of an epoch has a single image, which has no batch statistics


@dataclass(frozen=True)
class TwoViews:
    """Options of every recipe on two views.

    Attributes:
        architecture: the backbone; the narrow one is what two cores can train.
        batch_size: images a step.
        learning_rate: peak learning rate of SGD.
        weight_decay: of SGD.
        warmup: fraction of the schedule with a rising learning rate.
        augmentation_strength: "weak" (crop, flip, mild jitter) or "standard" (MoCo v2's).
        crop_scale_from: lower bound of the crop's area fraction.
        rotation: largest random rotation to either side, degrees.
    """

    architecture: Literal["resnet18_cifar", "resnet18_cifar_narrow"] = "resnet18_cifar_narrow"
    batch_size: int = 50
    learning_rate: float = 0.06
    weight_decay: float = 1e-4
    warmup: float = 0.05
    augmentation_strength: Literal["weak", "standard"] = "weak"
    crop_scale_from: float = 0.5
    rotation: float = 0.0

    @property
    def augmentation(self) -> Augmentation:
        """Each of the two views."""
        preset = _PRESETS[self.augmentation_strength]
        return replace(preset, crop_scale=(self.crop_scale_from, 1.0), rotation=self.rotation)


class TwoViewsMethod(Method):
    """A ResNet trained by SGD, with everything else that the method trains.

    Raises:
        UsageError: batches too small for batch statistics.
    """

    options: TwoViews

    def __init__(self, options: TwoViews) -> None:
        if options.batch_size < _FEWEST:
            raise UsageError(f"batch_size must be at least {_FEWEST} here, not {options.batch_size}.")
        super().__init__(options.architecture, {"num_classes": 0})
        self.options = options
        self.augmentation = options.augmentation
        self.width = cast(int, cast(Any, self.backbone).num_features)

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return sgd([self], self.options.learning_rate, self.options.weight_decay)
