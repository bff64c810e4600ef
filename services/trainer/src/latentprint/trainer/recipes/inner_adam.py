"""Adam for a network that a method trains by itself, within its loss."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class InnerAdam(nn.Module):
    """Adam (Kingma and Ba, ICLR 2015, https://arxiv.org/abs/1412.6980) whose state is buffers, as a checkpoint needs.

    Args:
        network: what is trained; its parameters no longer require a gradient, so that no other optimiser takes them.
        learning_rate: constant.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self._rate, self._decays, self._floor = learning_rate, (0.9, 0.999), 1e-8
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))
        for index, parameter in enumerate(network.parameters()):
            for moment in ("mean", "square"):
                self.register_buffer(f"{moment}{index}", torch.zeros_like(parameter))

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move each parameter of the network, in order, against its gradient."""
        self.steps += 1
        first, second = (1 - decay ** float(self.steps) for decay in self._decays)
        for index, (parameter, gradient) in enumerate(zip(self.network.parameters(), gradients, strict=True)):
            mean, square = (cast(Tensor, getattr(self, f"{moment}{index}")) for moment in ("mean", "square"))
            mean.lerp_(gradient, 1 - self._decays[0])
            square.lerp_(gradient.square(), 1 - self._decays[1])
            parameter.sub_(self._rate * (mean / first) / ((square / second).sqrt() + self._floor))
