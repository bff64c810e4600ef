"""A set network over the similarities, blind to their order: EncoderMI-S."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.training import NetworkScorer, Training, drawn_generator, train


class SetNetwork(nn.Module):
    """rho(mean of phi(element)) over a set of scalars (Zaheer et al., Deep Sets, NeurIPS 2017)."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, sets: Tensor) -> Tensor:
        """Logits [B] of sets of scalars [B, F]."""
        logits: Tensor = self.rho(self.phi(sets.unsqueeze(-1)).mean(dim=1)).squeeze(-1)
        return logits


@dataclass(frozen=True)
class DeepSets(Training):
    """Set-based inference (EncoderMI, CCS 2021): binary cross-entropy and Adam on balanced batches.

    Attributes:
        width: of every hidden layer.
    """

    width: int = 32

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> NetworkScorer:
        """Fit on the known samples; initial weights and batches are drawn from `rng`."""
        standardise = self.standardiser(features, together=True)
        network = SetNetwork(self.width, drawn_generator(rng))
        return NetworkScorer(standardise, train(network, standardise.tensor(features), member, rng, self))
