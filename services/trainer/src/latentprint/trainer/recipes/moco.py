"""MoCo: tell an image's other view from the views of others that a queue remembers."""

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.norms import Norm, norm_arguments
from latentprint.trainer.recipes.optimisers import sgd
from latentprint.trainer.recipes.per_record import PerRecordMethod
from latentprint.trainer.recipes.two_views import TwoViews


@dataclass(frozen=True)
class MomentumContrast(TwoViews):
    """Options of `moco`, beside those of `TwoViews`.

    Attributes:
        queue: keys remembered.
        temperature: of the softmax over similarities.
        momentum: of the key encoder's moving average.
        projection_dim: width of queries and keys.
        norm: "batch", or "group", where no image's answer depends on the others even in training.
    """

    queue: int = 100
    temperature: float = 0.1
    momentum: float = 0.99
    projection_dim: int = 64
    norm: Norm = "batch"

    held_constant: ClassVar[str] = (
        "the queue's keys: computed from the records of earlier steps, without noise, and taken as constants; what "
        "they carry of those records into later gradients is not in epsilon"
    )

    def build(self, size: Size, classes: int) -> "MomentumContrastMethod":
        """See `Recipe.build`; needs no classes."""
        del size, classes
        if self.queue < 1 or not 0 <= self.momentum < 1 or self.temperature <= 0:
            raise UsageError("recipe 'moco': queue must be at least 1, momentum in [0, 1) and temperature above 0.")
        return MomentumContrastMethod(self)


def info_nce(
    queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float, reduction: Literal["mean", "none"] = "mean"
) -> Tensor:
    """InfoNCE with negatives from a queue (MoCo, Eq. 1), mean over the batch.

    Args:
        queries: float [B, D], unit length.
        keys: float [B, D], unit length; row i is the positive of query i.
        negatives: float [Q, D], unit length, constants.
        temperature: of the softmax.
        reduction: "none" gives the loss of each record, float [B].
    """
    positive = (queries * keys).sum(dim=1, keepdim=True)  # [B, 1]
    logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
    return cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction=reduction)


class KeyQueue(nn.Module):
    """The latest `size` keys, first in first out.

    Starts with random directions, as the published code does.
    """

    keys: Tensor
    head: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("head", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Let `keys` [B, D] take the places of the oldest; of more than the queue holds, the last stay."""
        size = len(self.keys)
        latest = keys[-size:]
        places = (self.head + torch.arange(len(latest), device=keys.device)) % size
        self.keys[places] = latest
        self.head.copy_((self.head + len(latest)) % size)


class MomentumContrastMethod(PerRecordMethod):
    """MoCo v2 (Chen et al., 2020, https://arxiv.org/abs/2003.04297) on one device; publishes the query encoder."""

    def __init__(self, options: MomentumContrast) -> None:
        from lightly.models.modules.heads import MoCoProjectionHead
        from lightly.models.utils import deactivate_requires_grad

        super().__init__(options.architecture, {"num_classes": 0, **norm_arguments(options.norm)})
        self.options = options
        self.augmentation = options.augmentation
        width = cast(int, self.backbone.num_features)
        self.head = MoCoProjectionHead(width, width, options.projection_dim)
        self.key_backbone = deepcopy(self.backbone)
        self.key_head = deepcopy(self.head)
        deactivate_requires_grad(self.key_backbone)
        deactivate_requires_grad(self.key_head)
        self.queue = KeyQueue(options.queue, options.projection_dim)

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return sgd([self.backbone, self.head], self.options.learning_rate, self.options.weight_decay)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """One view for the query, the other's key, and the queue, which then takes in the joint batch's keys."""
        del labels, progress
        first, second = (self.view(images, self.augmentation, generator) for _ in range(2))
        with torch.no_grad():
            keys = normalize(self.key_head(self.key_backbone(second)).float(), dim=1)
        remembered = self.queue.keys.clone().expand(len(keys), -1, -1)
        self.queue.push(self.workers.joint(keys, len(images)))
        return {"view": first, "keys": keys, "remembered": remembered}

    def forward(self, view: Tensor, keys: Tensor, remembered: Tensor) -> Tensor:
        """InfoNCE of each record, float [b].

        Args:
            view: backbone input [b, 3, S, S].
            keys: float [b, D], the positives.
            remembered: float [b, Q, D], the same negatives for every record.
        """
        queries = normalize(self.head(self.backbone(view)).float(), dim=1)
        return info_nce(queries, keys, remembered[0], self.options.temperature, reduction="none")

    def after_step(self, progress: float) -> None:
        """Move the key encoder towards the query encoder."""
        from lightly.models.utils import update_momentum

        del progress
        update_momentum(self.backbone, self.key_backbone, self.options.momentum)
        update_momentum(self.head, self.key_head, self.options.momentum)
