"""Batch norm with the statistics of the joint batch of several workers, on any device.

torch's own SyncBatchNorm refuses the CPU, where the same training has to give the same victim.
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from latentprint.trainer.workers import Workers

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, BatchNormAct2d)


def join_batch_norms(module: nn.Module, workers: Workers) -> None:
    """Let every batch norm within `module` use the joint batch of `workers`; parameters and buffers stay the same.

    Raises:
        TypeError: a batch norm that computes something more, which this would lose.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) in _PLAIN:
                setattr(parent, name, JointBatchNorm(cast(nn.BatchNorm2d, child), workers))
            elif isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, JointBatchNorm):
                raise TypeError(f"{type(child).__name__} cannot be shared between workers: use a plain batch norm")


class JointBatchNorm(nn.BatchNorm2d):
    """Batch norm (Ioffe and Szegedy, ICML 2015) of [b, C, ...], over the rows of all workers in training mode.

    Every worker has to call it, also one without rows.

    Args:
        plain: the batch norm whose place it takes, of one or two dimensions; what timm's lets follow it, follows.
        workers: those that share a batch.
    """

    def __init__(self, plain: nn.BatchNorm2d, workers: Workers) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
        for name, tensor in (*plain.named_parameters(), *plain.named_buffers()):
            setattr(self, name, tensor)
        self.training = plain.training
        self.workers = workers
        self.after = nn.Sequential(plain.drop, plain.act) if isinstance(plain, BatchNormAct2d) else nn.Identity()

    def _check_input_dim(self, features: Tensor) -> None:
        del features

    def forward(self, features: Tensor) -> Tensor:
        """The same shape and dtype as `features`; statistics are float32 at least."""
        if not self.training and self.track_running_stats:
            return cast(Tensor, self.after(super().forward(features)))
        normed, mean, variance = cast(
            tuple[Tensor, Tensor, Tensor],
            _JointNorm.apply(features, self.weight, self.bias, self.eps, self.workers),
        )
        if self.training and self.track_running_stats:
            self._track(mean, variance)
        return cast(Tensor, self.after(normed))

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        tracked = cast(Tensor, self.num_batches_tracked).add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(tracked)
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            buffer = cast(Tensor, running)
            buffer.lerp_(now.to(buffer.dtype), share)


class _JointNorm(torch.autograd.Function):
    """Normalises own rows by the moments of all; the gradient of those moments comes from all workers too."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, workers: Workers
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = features.float()
        mean, variance, count = _joint_moments(rows, workers)
        scale = torch.rsqrt(variance + eps)
        normed = (rows - _along(mean, rows)) * _along(scale, rows)
        ctx.save_for_backward(normed, scale, weight)
        ctx.count, ctx.dtype = count, features.dtype
        if weight is not None and bias is not None:
            normed = normed * _along(weight, rows) + _along(bias, rows)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        ctx.mark_non_differentiable(mean, unbiased)
        return normed.to(features.dtype), mean, unbiased

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        normed, scale, weight = ctx.saved_tensors
        above = gradients[0].float()
        shift, slope = _sums(above), _sums(above * normed)  # [C], of own rows: what bias and weight get
        joint = torch.cat([shift, slope])
        dist.all_reduce(joint)
        joint_shift, joint_slope = (_along(part, normed) for part in (joint / ctx.count).chunk(2))
        factor = scale if weight is None else scale * weight
        below = (above - joint_shift - normed * joint_slope) * _along(factor, normed)
        affine = (None, None) if weight is None else (slope.to(weight.dtype), shift.to(weight.dtype))
        return below.to(ctx.dtype), *affine, None, None


def _joint_moments(rows: Tensor, workers: Workers) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], biased variance [C] and number [] of all workers' rows, from each worker's own moments."""
    count = rows.numel() // rows.shape[1]
    mean = _sums(rows) / max(1, count)
    spread = _sums((rows - _along(mean, rows)).square())  # [C]
    own = torch.cat([mean.new_tensor([count]), mean, spread]).double()
    parts = [torch.empty_like(own) for _ in range(workers.size)]
    dist.all_gather(parts, own)
    table = torch.stack(parts)  # [W, 1 + 2 C]
    counts, means, spreads = table[:, :1], *table[:, 1:].chunk(2, dim=1)
    total = counts.sum()
    joint = (counts * means).sum(dim=0) / total
    variance = (spreads + counts * (means - joint).square()).sum(dim=0) / total
    return joint.float(), variance.float(), total.float()


def _sums(rows: Tensor) -> Tensor:
    """Sums [C] of [b, C, ...] over all but the channels."""
    return rows.sum(dim=[0, *range(2, rows.ndim)])


def _along(channels: Tensor, like: Tensor) -> Tensor:
    """[C] as it broadcasts against [b, C, ...]."""
    return channels.view(-1, *[1] * (like.ndim - 2))
