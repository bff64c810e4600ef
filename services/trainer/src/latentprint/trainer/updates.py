"""How a step changes the weights: from a joint batch to the optimiser's step."""

from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from latentprint.trainer.exchange import Exchange
from latentprint.trainer.recipes.base import Method


class Update(Protocol):
    """One kind of step.

    Attributes:
        optimiser: whose learning rate the loop sets, and whose state a checkpoint holds.
        exchange: between the workers.
    """

    optimiser: Optimizer
    exchange: Exchange

    def __call__(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Change the weights; arguments as for `Method.loss`. Returns the mean loss, detached."""
        ...


class JointUpdate:
    """The gradient of the joint batch's loss, summed over the workers, then the optimiser's step.

    Args:
        method: what is trained.
        exchange: between its workers.
        autocast: dtype of the forward pass, None for full precision.
    """

    def __init__(self, method: Method, exchange: Exchange, autocast: torch.dtype | None) -> None:
        self.optimiser = method.optimiser()
        self.exchange = exchange
        self._method = method
        self._autocast = autocast

    def __call__(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """See `Update`."""
        with torch.autocast(images.device.type, dtype=self._autocast, enabled=self._autocast is not None):
            loss = self._method.loss(images, labels, generator, progress)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.exchange.sum(p.grad for p in trained if p.grad is not None)
        self.optimiser.step()
        return loss.detach()
