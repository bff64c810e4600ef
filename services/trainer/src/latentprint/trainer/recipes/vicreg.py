"""VICReg: make an image's views agree, keep every dimension varied, and the dimensions uncorrelated."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.two_views import TwoViews, TwoViewsMethod


@dataclass(frozen=True)
class VarianceInvarianceCovariance(TwoViews):
    """Options of `vicreg`, beside those of `TwoViews`.

    Attributes:
        invariance: weight of the squared distance between an image's views.
        variance: weight of the hinge on each dimension's standard deviation.
        covariance: weight of the squared covariances between dimensions.
        expander_dim: width of the vectors that the loss sees.
    """

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    expander_dim: int = 256

    mixes_records: ClassVar[str] = (
        "variances and covariances are those of the whole batch, and batch norm averages over it"
    )

    def build(self, size: Size, classes: int) -> "VarianceInvarianceCovarianceMethod":
        """See `Recipe.build`; needs no classes."""
        del size, classes
        if min(self.invariance, self.variance, self.covariance) < 0:
            raise UsageError("recipe 'vicreg': invariance, variance and covariance must not be negative.")
        return VarianceInvarianceCovarianceMethod(self)


class VarianceInvarianceCovarianceMethod(TwoViewsMethod):
    """VICReg (Bardes et al., ICLR 2022, https://arxiv.org/abs/2105.04906)."""

    def __init__(self, options: VarianceInvarianceCovariance) -> None:
        from lightly.loss import VICRegLoss
        from lightly.models.modules.heads import VICRegProjectionHead

        super().__init__(options)
        self.head = VICRegProjectionHead(self.width, options.expander_dim, options.expander_dim)
        self.criterion = VICRegLoss(options.invariance, options.variance, options.covariance)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """The three terms (Eq. 6), with variances and covariances over the joint batch."""
        del labels, progress
        count = len(images)
        first, second = (
            self.head(self.backbone(self.view(images, self.augmentation, generator))).float() for _ in range(2)
        )
        loss: Tensor = self.criterion(self.workers.joint(first, count), self.workers.joint(second, count))
        return loss
