"""What every neural inference model shares: one training loop, and a scorer of logits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentprint.attack_engine.inference.base import Features, Membership, Scores, Standardiser
from latentprint.core.threads import using_threads


@dataclass(frozen=True)
class NetworkScorer:
    """Scores are logits of a network.

    Attributes:
        standardise: what features are read through.
        network: features read through it, float32 [B, K] to logits [B].
        threshold: its own decision.
        rows: samples in memory at once; None for all.
    """

    standardise: Standardiser
    network: nn.Module
    threshold: float = 0.0
    rows: int | None = None

    @torch.inference_mode()
    def score(self, features: Features) -> Scores:
        """Logits float64 [S] of membership."""
        scores: Scores = torch.cat([self.network(rows) for rows in self.inputs(features)]).double().numpy()
        return scores

    def inputs(self, features: Features) -> Iterator[torch.Tensor]:
        """Features as the network reads them, `rows` at a time; at least one part."""
        inputs, step = self.standardise.tensor(features), self.rows or max(1, len(features))
        for start in range(0, max(1, len(inputs)), step):
            yield inputs[start : start + step]


@dataclass(frozen=True)
class Training:
    """What every neural inference model lets its user set: Adam with binary cross-entropy on balanced batches.

    Attributes:
        epochs: passes over the larger side.
        batch: samples a batch, half of them members.
        learning_rate, weight_decay: of Adam.
        standardise: whether features are centred and scaled by the known samples before they are read.
    """

    epochs: int = 100
    batch: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    standardise: bool = True

    def standardiser(self, features: Features, *, together: bool = False) -> Standardiser:
        """What features float32 [S, K] are read through: each entry by itself, or all `together`."""
        if not self.standardise:
            return Standardiser.off()
        return Standardiser.of_all(features) if together else Standardiser.of(features)

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        del epoch
        return self.learning_rate


@dataclass(frozen=True)
class SequenceTraining(Training):
    """SeqMIA's training on sequences of metrics (CCS 2024, and its code), at a learning rate that falls.

    Sequences are read as they are: the paper names no standardisation, and with it every metric weighs the same at
    every step, so that a small shadow set is overfitted to.

    Attributes:
        decay, decay_every: the learning rate's factor after every so many epochs.
    """

    weight_decay: float = 1e-4
    standardise: bool = False
    decay: float = 0.9
    decay_every: int = 10

    def rate(self, epoch: int) -> float:
        """See `Training.rate`."""
        return self.learning_rate * self.decay ** (epoch // self.decay_every)


def train(
    network: nn.Module,
    inputs: torch.Tensor,
    member: Membership,
    rng: np.random.Generator,
    training: Training,
) -> nn.Module:
    """Train `network` ([B, K] to logits [B]) on inputs float32 [S, K]; batches from `rng`; in eval mode when done."""
    targets = torch.from_numpy(member.astype(np.float32))
    optimiser = torch.optim.Adam(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    with using_threads(1):  # more threads cost such small layers more than they give, and change the rounding
        for epoch in range(training.epochs):
            for group in optimiser.param_groups:
                group["lr"] = training.rate(epoch)
            for rows in balanced_batches(member, training.batch, rng):
                chosen = torch.from_numpy(rows)
                loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[chosen]), targets[chosen])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
    return network.eval()


def drawn_generator(rng: np.random.Generator) -> torch.Generator:
    """A torch generator, for initial weights, whose seed is drawn from `rng`."""
    return torch.Generator().manual_seed(int(rng.integers(2**62)))


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
