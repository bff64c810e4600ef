"""Several workers on one joint batch: each computes its own rows, and what mixes records is computed on all of them.

Every worker draws the randomness of the whole joint batch, computes its rows, and lets `Workers.joint` put the rows
of all workers together before anything is averaged or compared. The loss is then the joint batch's on every worker,
and the sum of the workers' gradients is the gradient of one worker on the joint batch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """One process among those that train one method together; by default alone.

    Attributes:
        rank: this worker's place, from 0.
        size: number of workers; above 1, torch's default process group connects them.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this worker is the one that writes files and logs."""
        return self.rank == 0

    def rows(self, count: int, rank: int | None = None) -> slice:
        """Rows of this (or another) worker among `count`: contiguous, sizes differ by at most one."""
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def mine(self, joint: Tensor) -> Tensor:
        """The rows of this worker of a tensor of the joint batch, [B, ...]."""
        return joint[self.rows(len(joint))]

    def joint(self, mine: Tensor, count: int) -> Tensor:
        """All workers' rows [count, ...] from this one's; the gradient goes back to this worker's rows alone.

        Parameters must have done their work before: what comes after is computed on every worker alike.
        """
        if self.size == 1:
            return mine
        return cast(Tensor, _Joint.apply(mine, count, self))

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, in one exchange for each dtype."""
        if self.size == 1:
            return
        groups: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            groups.setdefault(tensor.dtype, []).append(tensor)
        for group in groups.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in group])
            for tensor, part in zip(group, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


ALONE = Workers()


class _Joint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: Tensor, count: int, workers: Workers) -> Tensor:
        ctx.rows = workers.rows(count)
        sizes = [len(range(count)[workers.rows(count, rank)]) for rank in range(workers.size)]
        padded = mine.new_zeros(max(sizes), *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.rows], None, None
