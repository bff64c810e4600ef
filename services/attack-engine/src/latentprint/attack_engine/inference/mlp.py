"""The papers' inference model: a small MLP with ReLU, trained on balanced batches."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import nn

from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.training import NetworkScorer, Training, drawn_generator, train


@dataclass(frozen=True)
class MlpClassifier(Training):
    """MLP with weights from N(0, 0.01^2), zero biases, binary cross-entropy and Adam (PartCrop, Sec. 5 and its code).

    Attributes:
        hidden: widths of the hidden layers.
    """

    hidden: tuple[int, ...] = (512, 256, 128)

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> NetworkScorer:
        """Fit on the known samples; initial weights and batches are drawn from `rng`."""
        standardise = self.standardiser(features)
        network = self._network(features.shape[1], rng)
        return NetworkScorer(standardise, train(network, standardise.tensor(features), member, rng, self))

    def _network(self, features: int, rng: np.random.Generator) -> nn.Sequential:
        generator = drawn_generator(rng)
        widths = (features, *self.hidden, 1)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            linear = nn.Linear(fan_in, fan_out)
            nn.init.normal_(linear.weight, std=0.01, generator=generator)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1], nn.Flatten(0))
