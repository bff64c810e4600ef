"""Metric embeddings: images of one person lie close together, those of different people apart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.samples import Size
from latentprint.core.views.augmentations import MAE, Augmentation
from latentprint.trainer.recipes.base import Method

_COLLAPSE = math.log(2)  # the loss where all embeddings are one: softplus(0 - 0)
_NEAR = 0.05  # of that loss, and of no distance to anybody else
_MEMORY = 0.9  # of the mean distance, a step


@dataclass(frozen=True)
class Triplet:
    """Options of `triplet`.

    Attributes:
        architecture: the backbone; the embedding of a LuNet is its head's answer, of a ResNet its pooled features.
        architecture_options: of its size, such as width (channels of the first stage).
        identities: people in a batch, P; fewer where there are not as many.
        images_of_each: images of each of them, K; some twice where there are not as many.
        learning_rate: peak learning rate of Adam.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop.
        flip: probability of a horizontal flip.
    """

    architecture: Literal["lunet", "lunet_narrow", "resnet18", "resnet18_cifar", "resnet18_cifar_narrow"] = (
        "lunet_narrow"
    )
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    identities: int = 18
    images_of_each: int = 4
    learning_rate: float = 3e-4
    warmup: float = 0.05
    crop_scale_from: float = 1.0
    flip: float = 0.5

    mixes_records: ClassVar[str] = "each image is compared with the hardest others of its batch"

    @property
    def batch_size(self) -> int:
        """Images a step, P x K."""
        return self.identities * self.images_of_each

    @property
    def augmentation(self) -> Augmentation:
        """Crop and flip."""
        return replace(MAE, crop_scale=(self.crop_scale_from, 1.0), flip_probability=self.flip)

    def build(self, size: Size, classes: int) -> "TripletMethod":
        """See `Recipe.build`; classes are those of the split's units, where it has any."""
        from latentprint.core import architectures  # with timm, which whoever plans a training does without

        del size, classes
        if self.identities < 2 or self.images_of_each < 2:
            raise UsageError("recipe 'triplet': identities and images_of_each must be at least 2.")
        known = architectures.OPTIONS.get(self.architecture, ())
        for name in self.architecture_options:
            if name not in known:
                raise unknown_name(f"architecture option of {self.architecture!r}", name, known)
        return TripletMethod(self)


class TripletMethod(Method):
    """Soft-margin batch-hard triplet loss (Hermans, Beyer and Leibe, 2017, https://arxiv.org/abs/1703.07737, Eq. 5).

    Euclidean distances of embeddings as they are, without a norm.
    """

    apart: Tensor

    def __init__(self, options: Triplet) -> None:
        super().__init__(options.architecture, {"num_classes": 0, **options.architecture_options})
        self.options = options
        self.augmentation = options.augmentation
        self.register_buffer("apart", torch.ones(()))  # a moving mean of the distance to the nearest other person

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return Adam(self.parameters(), lr=self.options.learning_rate, fused=True)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Mean over all images of the joint batch of the loss of their hardest triplet; `labels` are the people."""
        del progress
        view = self.view(images, self.augmentation, generator)
        embedding = self.workers.joint(self.backbone(view).float(), len(images))
        farthest, nearest = hardest_distances(embedding, labels)
        self.apart.lerp_(nearest.detach().mean(), 1 - _MEMORY)
        return softplus(farthest - nearest).mean()

    def check_trained(self, loss: float) -> None:
        """Refuse a collapse: all embeddings are one, and the loss stays at ln 2 = 0.693."""
        if abs(loss - _COLLAPSE) < _NEAR and float(self.apart) < _NEAR:
            raise UsageError(
                f"The training collapsed: the triplet loss stays at ln 2 ({loss:.3f}), since all images have one "
                "embedding, which no audit can tell apart. Set a lower learning_rate, a longer warmup or more "
                "images_of_each, or train for more epochs."
            )


def hardest_distances(embedding: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each image to its farthest of the same label and to its nearest of another one.

    Args:
        embedding: float [B, D].
        labels: int64 [B]; at least two different ones.

    Returns:
        Two tensors, float [B].
    """
    squares = embedding.square().sum(dim=1)
    products = embedding @ embedding.T
    squared = squares[:, None] + squares[None] - 2 * products
    distance = squared.clamp_min(1e-12).sqrt()  # a root has no gradient at 0
    same = labels[:, None] == labels[None]
    farthest = distance.masked_fill(~same, 0).amax(dim=1)
    nearest = distance.masked_fill(same, torch.inf).amin(dim=1)
    return farthest, nearest
