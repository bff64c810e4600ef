"""SimCLR: tell an image's other view from all other views of the batch."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.two_views import TwoViews, TwoViewsMethod


@dataclass(frozen=True)
class SimpleContrast(TwoViews):
    """Options of `simclr`, beside those of `TwoViews`.

    Attributes:
        temperature: of the softmax over similarities.
        projection_dim: width of the vectors that are compared.
    """

    temperature: float = 0.2
    projection_dim: int = 64

    mixes_records: ClassVar[str] = (
        "every view is compared with those of the batch's other records, and batch norm averages over them"
    )

    def build(self, size: Size, classes: int) -> "SimpleContrastMethod":
        """See `Recipe.build`; needs no classes."""
        del size, classes
        self.check()
        return SimpleContrastMethod(self)

    def check(self) -> None:
        """Raise `UsageError` for a softmax that cannot be."""
        if self.temperature <= 0:
            raise UsageError(f"temperature must be above 0, not {self.temperature}.")


class SimpleContrastMethod(TwoViewsMethod):
    """SimCLR (Chen et al., ICML 2020, https://arxiv.org/abs/2002.05709, Eq. 1)."""

    def __init__(self, options: SimpleContrast) -> None:
        from lightly.loss import NTXentLoss
        from lightly.models.modules.heads import SimCLRProjectionHead

        super().__init__(options)
        self.head = SimCLRProjectionHead(self.width, self.width, options.projection_dim)
        self.criterion = NTXentLoss(options.temperature)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """NT-Xent over the 2B views of the joint batch."""
        del labels, progress
        return self.contrast(self.embeddings(images, generator), len(images))

    def embeddings(self, images: Tensor, generator: Generator) -> Tensor:
        """Of this worker's rows of two views of the joint batch, one view after the other: [2b, D]."""
        views = torch.cat([self.view(images, self.augmentation, generator) for _ in range(2)])
        embedded: Tensor = self.backbone(views)
        return embedded

    def contrast(self, embeddings: Tensor, count: int) -> Tensor:
        """NT-Xent over the joint batch of `count` images, from this worker's embeddings [2b, D] of both views."""
        first, second = self.head(embeddings).float().chunk(2)
        loss: Tensor = self.criterion(self.workers.joint(first, count), self.workers.joint(second, count))
        return loss
