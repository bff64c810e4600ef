"""The papers' inference model: a small MLP with ReLU, trained on balanced batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from leakscope.attack_engine.attacks.inference.base import Membership, Scores, Signals, Standardiser
from leakscope.core.threads import using_threads


@dataclass(frozen=True)
class MlpScorer:
    """Scores are logits."""

    standardise: Standardiser
    network: nn.Module
    threshold: float = 0.0

    @torch.inference_mode()
    def score(self, signals: Signals) -> Scores:
        """Logits float64 [S] of membership."""
        logits: Scores = self.network(self.standardise.tensor(signals)).squeeze(1).double().numpy()
        return logits


@dataclass(frozen=True)
class Mlp:
    """MLP with weights from N(0, 0.01^2), zero biases, binary cross-entropy and Adam (PartCrop, Sec. 5 and its code).

    Attributes:
        hidden: widths of the hidden layers.
        epochs: passes over the larger side.
        batch: samples a batch, half of them members.
        learning_rate, weight_decay: of Adam.
    """

    hidden: tuple[int, ...] = (512, 256, 128)
    epochs: int = 100
    batch: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4

    def fit(self, signals: Signals, member: Membership, rng: np.random.Generator) -> MlpScorer:
        """Fit on the known samples; initial weights and batches are drawn from `rng`."""
        with using_threads(1):  # more threads cost such small layers more than they give, and change the rounding
            return self._fit(signals, member, rng)

    def _fit(self, signals: Signals, member: Membership, rng: np.random.Generator) -> MlpScorer:
        standardise = Standardiser.of(signals)
        inputs, targets = standardise.tensor(signals), torch.from_numpy(member.astype(np.float32))
        network = self._network(inputs.shape[1], rng)
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        for _ in range(self.epochs):
            for rows in balanced_batches(member, self.batch, rng):
                chosen = torch.from_numpy(rows)
                loss = nn.functional.binary_cross_entropy_with_logits(
                    network(inputs[chosen]).squeeze(1), targets[chosen]
                )
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
        return MlpScorer(standardise, network.eval())

    def _network(self, features: int, rng: np.random.Generator) -> nn.Sequential:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        widths = (features, *self.hidden, 1)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            linear = nn.Linear(fan_in, fan_out)
            nn.init.normal_(linear.weight, std=0.01, generator=generator)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def balanced_batches(member: Membership, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """One epoch of row indices with as many members as non-members in every batch.

    The larger side is passed over once; the smaller is repeated, in a new order each time.
    """
    sides = [np.flatnonzero(member), np.flatnonzero(~member)]
    length = max(len(side) for side in sides)
    orders = []
    for side in sides:
        rounds = -(-length // len(side))
        orders.append(np.concatenate([rng.permutation(side) for _ in range(rounds)])[:length])
    half = max(1, batch // 2)
    for start in range(0, length, half):
        yield np.concatenate([order[start : start + half] for order in orders])
