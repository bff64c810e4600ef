"""MixCo: MoCo that also says of a mixture of two images how much of each it shows."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn.functional import log_softmax, normalize

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.moco import MomentumContrast, MomentumContrastMethod


@dataclass(frozen=True)
class MixUpContrast(MomentumContrast):
    """Options of `mixco`, beside those of `moco`.

    Attributes:
        mix_weight: of the mixtures' loss beside MoCo's own.
        mix_temperature: of the softmax over the mixtures' similarities.
    """

    mix_weight: float = 1.0
    mix_temperature: float = 0.1

    mixes_records: ClassVar[str] = "each image is mixed with another record's, and compared with that one's key"

    def build(self, size: Size, classes: int) -> "MixUpContrastMethod":
        """See `Recipe.build`; needs no classes."""
        super().build(size, classes)
        if self.mix_weight < 0 or self.mix_temperature <= 0:
            raise UsageError("recipe 'mixco': mix_weight must not be negative and mix_temperature be above 0.")
        return MixUpContrastMethod(self)


def mixed_info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, shares: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of mixtures' queries with the shares of their two images (MixCo, Eq. 4), mean over the batch.

    Args:
        queries: float [B, D], unit length; row i is of a mixture of image i and the next, of the last and the first.
        keys: float [B, D], unit length, of the single images.
        negatives: float [Q, D], unit length, constants.
        shares: float [B], of image i in mixture i, in [0, 1].
        temperature: of the softmax over all keys and negatives.
    """
    logits = queries @ torch.cat([keys, negatives]).T / temperature  # [B, B + Q]
    likelihoods = log_softmax(logits, dim=1)
    own = likelihoods.diagonal()
    following = likelihoods[:, : len(keys)].roll(-1, dims=1).diagonal()
    return -(shares * own + (1 - shares) * following).mean()


class MixUpContrastMethod(MomentumContrastMethod):
    """MixCo on MoCo (Kim et al., 2020, https://arxiv.org/abs/2010.06300); publishes the query encoder."""

    options: MixUpContrast

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """MoCo's loss, and that of mixtures of its queries' views against its keys and the queue."""
        count, options = len(images), self.options
        prepared = self.prepare(images, labels, generator, progress)
        shares = torch.rand(count, generator=generator, device=generator.device)
        mixtures = self.mixtures(prepared["view"], shares)
        queries = self.workers.joint(normalize(self.head(self.backbone(mixtures)).float(), dim=1), count)
        keys = self.workers.joint(prepared["keys"], count)
        mixed = mixed_info_nce(queries, keys, prepared["remembered"][0], shares, options.mix_temperature)
        return self.workers.joint(self(**prepared), count).mean() + options.mix_weight * mixed

    def mixtures(self, views: Tensor, shares: Tensor) -> Tensor:
        """Rows of this worker of the mixtures of each image and the next one of the joint batch, whose order is random.

        Args:
            views: this worker's rows of a view, float [b, 3, side, side].
            shares: float [B], of each image of the joint batch; the next has the rest.
        """
        joint = self.workers.joint(views, len(shares))  # pixels: no parameter has touched them
        following = self.workers.mine(joint.roll(-1, dims=0))
        return following.lerp(views, self.workers.mine(shares).view(-1, 1, 1, 1))
