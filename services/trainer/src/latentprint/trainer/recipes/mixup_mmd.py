"""Mix-up, and posteriors of members that are distributed as those of held-out samples of the same classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.held_out import HeldOutMethod
from latentprint.trainer.recipes.supervised import Supervised


@dataclass(frozen=True)
class MixUpMatching(Supervised):
    """Options of `mixup-mmd`, beside those of `supervised`.

    Attributes:
        mmd_weight: of the discrepancy beside the mixtures' cross-entropy.
        mmd_bandwidth: standard deviation of the Gaussian kernel on posteriors.
    """

    mmd_weight: float = 3.0
    mmd_bandwidth: float = 1.0

    mixes_records: ClassVar[str] = "each sample is mixed with another record's, and all posteriors are compared"
    needs_validation: ClassVar[bool] = True

    def build(self, size: Size, classes: int) -> "MixUpMatchingMethod":
        """See `Recipe.build`."""
        self.check(size, classes)
        if self.mmd_weight < 0 or self.mmd_bandwidth <= 0:
            raise UsageError("recipe 'mixup-mmd': mmd_weight must not be negative and mmd_bandwidth be above 0.")
        return MixUpMatchingMethod(self, classes)


def squared_mmd(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    """Squared maximum mean discrepancy of [n, C] and [m, C] under a Gaussian kernel, biased, float [].

    Source: Gretton et al., JMLR 2012, Eq. 5.
    """

    def mean_kernel(left: Tensor, right: Tensor) -> Tensor:
        distances = (left.unsqueeze(1) - right.unsqueeze(0)).square().sum(dim=2)
        return torch.exp(-distances / (2 * bandwidth**2)).mean()

    return mean_kernel(first, first) + mean_kernel(second, second) - 2 * mean_kernel(first, second)


def counterparts(labels: Tensor, held_out: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """For each class of `labels` [B] a random one of the held-out samples of that class.

    Args:
        labels: int64 [B].
        held_out: classes of the held-out samples, int64 [V].
        generator: of the draw.

    Returns:
        Rows int64 [B] among the held-out samples, and bool [B] whether there is any of the class; elsewhere the row is
        of another class.
    """
    ordered, order = held_out.sort(stable=True)
    start, end = (torch.searchsorted(ordered, labels, right=right) for right in (False, True))
    draw = torch.rand(len(labels), generator=generator, device=generator.device).to(labels.device)
    place = torch.minimum(start + (draw * (end - start)).long(), (end - 1).clamp_min(0))
    return order[place], end > start


class MixUpMatchingMethod(HeldOutMethod):
    """MMD with mix-up (Li et al., CODASPY 2021, https://arxiv.org/abs/2002.12062); publishes the classifier.

    The shares of a mixture are uniform in [0, 1]; the held-out samples' posteriors are taken as constants.
    """

    options: MixUpMatching

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """See `Method.loss`."""
        del progress
        count, held_out = len(images), self.held_out()
        shares = torch.rand(count, generator=generator, device=generator.device)
        rows, matched = counterparts(labels, held_out.labels, generator)
        view = self.view(images, self.augmentation, generator)
        other = self.view(held_out.images[rows], self.augmentation, generator)
        mixed = self.workers.joint(self.backbone(self.mixtures(view, shares)).float(), count)
        answers = self.backbone(torch.cat([view, other])).float().softmax(dim=1)
        members, others = (self.workers.joint(part, count) for part in answers.split([len(view), len(other)]))
        own, following = (self.cross_entropy(mixed, target) for target in (labels, labels.roll(-1)))
        mixtures = (shares * own + (1 - shares) * following).mean()
        if not matched.any():
            return mixtures
        apart = squared_mmd(members[matched], others[matched].detach(), self.options.mmd_bandwidth)
        return mixtures + self.options.mmd_weight * apart

    def mixtures(self, views: Tensor, shares: Tensor) -> Tensor:
        """Rows of this worker of the mixtures of each sample and the next of the joint batch, whose order is random.

        Args:
            views: this worker's rows of a view, float [b, ...].
            shares: float [B], of each sample of the joint batch; the next has the rest.
        """
        following = self.workers.mine(self.workers.joint(views, len(shares)).roll(-1, dims=0))
        return following.lerp(views, self.workers.mine(shares).view(-1, *[1] * (views.ndim - 1)))
