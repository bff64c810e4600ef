"""SimSiam: predict the projection of an image's other view, with no negatives and no gradient to the target."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.two_views import TwoViews, TwoViewsMethod


@dataclass(frozen=True)
class SimpleSiamese(TwoViews):
    """Options of `simsiam`, beside those of `TwoViews`.

    Attributes:
        projection_dim: width of the projections.
        prediction_dim: width of the predictor's hidden layer; narrower than the projection.
    """

    projection_dim: int = 128
    prediction_dim: int = 32

    mixes_records: ClassVar[str] = "its heads' batch norm, without which it collapses, averages over the whole batch"

    def build(self, size: Size, classes: int) -> "SimpleSiameseMethod":
        """See `Recipe.build`; needs no classes."""
        del size, classes
        if min(self.projection_dim, self.prediction_dim) < 1:
            raise UsageError("recipe 'simsiam': projection_dim and prediction_dim must be at least 1.")
        return SimpleSiameseMethod(self)


class SimpleSiameseMethod(TwoViewsMethod):
    """SimSiam (Chen and He, CVPR 2021, https://arxiv.org/abs/2011.10566)."""

    def __init__(self, options: SimpleSiamese) -> None:
        from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead

        super().__init__(options)
        self.head = SimSiamProjectionHead(self.width, options.projection_dim, options.projection_dim)
        self.predictor = SimSiamPredictionHead(options.projection_dim, options.prediction_dim, options.projection_dim)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Mean negative cosine of each view's prediction and the other view's projection, a constant (Eq. 4)."""
        del labels, progress
        count = len(images)
        first, second = (
            self.head(self.backbone(self.view(images, self.augmentation, generator))).float() for _ in range(2)
        )
        cosines = (self._agreement(first, second) + self._agreement(second, first)) / 2
        return -self.workers.joint(cosines, count).mean()

    def _agreement(self, view: Tensor, target: Tensor) -> Tensor:
        """Cosine [b] of each prediction from `view` with its target."""
        return cosine_similarity(self.predictor(view).float(), target.detach(), dim=1)
