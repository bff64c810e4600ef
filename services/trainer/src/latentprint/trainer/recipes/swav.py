"""SwAV: predict the cluster of an image's other views, with clusters of equal size in every batch."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear, normalize

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer.recipes.two_views import TwoViews, TwoViewsMethod

_SHARPEST = 0.02  # below, the exponentials of Sinkhorn's algorithm overflow


@dataclass(frozen=True)
class SwappedAssignments(TwoViews):
    """Options of `swav`, beside those of `TwoViews`.

    Attributes:
        local_views: small crops an image, of half its height and width; they predict, and are never predicted.
        local_scale_from, local_scale_to: area fractions of the small crops.
        prototypes: number of clusters; at most about the batch size.
        projection_dim: width of the vectors that are compared with the prototypes.
        temperature: of the softmax over prototypes.
        epsilon: smoothness of the assignments; the paper's 0.05 needs more images than two cores see.
        sinkhorn_iterations: of the algorithm that makes clusters equally large.
    """

    learning_rate: float = 0.2
    local_views: int = 2
    local_scale_from: float = 0.15
    local_scale_to: float = 0.5
    prototypes: int = 32
    projection_dim: int = 64
    temperature: float = 0.1
    epsilon: float = 0.02
    sinkhorn_iterations: int = 3

    mixes_records: ClassVar[str] = (
        "clusters are made equally large over the whole batch, and batch norm averages over it"
    )

    @property
    def local_augmentation(self) -> Augmentation:
        """Each of the small crops."""
        return replace(self.augmentation, crop_scale=(self.local_scale_from, self.local_scale_to))

    def build(self, size: Size, classes: int) -> "SwappedAssignmentsMethod":
        """See `Recipe.build`; needs no classes."""
        del size, classes
        if self.temperature <= 0 or self.epsilon < _SHARPEST or self.prototypes < 2 or self.local_views < 0:
            raise UsageError(
                f"recipe 'swav': temperature must be above 0, epsilon at least {_SHARPEST}, prototypes at least 2 "
                "and local_views not negative."
            )
        return SwappedAssignmentsMethod(self)


class SwappedAssignmentsMethod(TwoViewsMethod):
    """SwAV (Caron et al., NeurIPS 2020, https://arxiv.org/abs/2006.09882), without its queue."""

    options: SwappedAssignments

    def __init__(self, options: SwappedAssignments) -> None:
        from lightly.loss import SwaVLoss
        from lightly.models.modules.heads import SwaVProjectionHead

        super().__init__(options)
        self.local_augmentation = options.local_augmentation
        self.head = SwaVProjectionHead(self.width, self.width, options.projection_dim)
        self.prototypes = nn.Parameter(normalize(torch.randn(options.prototypes, options.projection_dim), dim=1))
        self.criterion = SwaVLoss(options.temperature, options.sinkhorn_iterations, options.epsilon)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Cross-entropy of every view with the assignment of every other large view (Eq. 2)."""
        del labels, progress
        options, half = self.options, (images.shape[1] // 2, images.shape[2] // 2)
        wide = [self.view(images, self.augmentation, generator) for _ in range(2)]
        narrow = [self.view(images, self.local_augmentation, generator, half) for _ in range(options.local_views)]
        scores = self.scores(wide, len(images))
        loss: Tensor = self.criterion(scores, self.scores(narrow, len(images)) if narrow else [])
        return loss.squeeze(0)

    def scores(self, views: list[Tensor], count: int) -> list[Tensor]:
        """Cosines [B, prototypes] of the joint batch's `count` images with the prototypes, one tensor a view.

        Args:
            views: this worker's rows, float [b, 3, side, side] each.
            count: images of the joint batch.
        """
        projected = normalize(self.head(self.backbone(torch.cat(views))).float(), dim=1)
        similarities = linear(projected, self.prototypes).float()
        return [self.workers.joint(rows, count) for rows in similarities.chunk(len(views))]

    def after_step(self, progress: float) -> None:
        """Bring the prototypes back to unit length."""
        del progress
        with torch.no_grad():
            self.prototypes.copy_(normalize(self.prototypes, dim=1))
