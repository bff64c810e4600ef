"""SeqMIA's inference model: an LSTM whose last state attends to all of its states."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.steps import require_steps, steps_of
from latentprint.attack_engine.inference.training import NetworkScorer, SequenceTraining, drawn_generator, train

_ROWS = 2000


class AttentionNetwork(nn.Module):
    """Energies <h_T, h_t>, softmax over t, context sum of a_t h_t, linear on [h_T, context] to two logits."""

    def __init__(self, channels: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.channels = channels
        self.lstm = nn.LSTM(channels, hidden)
        self.head = nn.Linear(2 * hidden, 2)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """Margins [B] of the member's logit over the other, of sequences [B, T * M]."""
        states = self.states(inputs)
        context = (self.attention(states).unsqueeze(-1) * states).sum(dim=0)
        logits: Tensor = self.head(torch.cat([states[-1], context], dim=1))  # [B, 2]
        return logits[:, 1] - logits[:, 0]

    def states(self, inputs: Tensor) -> Tensor:
        """States [T, B, H] of sequences [B, T * M]."""
        states: Tensor = self.lstm(steps_of(inputs, self.channels).transpose(0, 1))[0]
        return states

    def attention(self, states: Tensor) -> Tensor:
        """Weights [T, B] of states [T, B, H]; they sum to 1 over the steps."""
        return (states * states[-1]).sum(dim=-1).softmax(dim=0)


@dataclass(frozen=True)
class AttentionScorer(NetworkScorer):
    """Scores are margins of the two logits."""

    @torch.inference_mode()
    def attention(self, features: Features) -> NDArray[np.float64]:
        """How much each step weighs, float64 [S, T], rows sum to 1; for figures."""
        network = self.network
        assert isinstance(network, AttentionNetwork)
        parts = [network.attention(network.states(rows)).T for rows in self.inputs(features)]
        weights: NDArray[np.float64] = torch.cat(parts).double().numpy()
        return weights


@dataclass(frozen=True)
class AttentionLstm(SequenceTraining):
    """Attention-based LSTM on sequences of metrics (SeqMIA, CCS 2024, and its code).

    A signal of T * channels entries is read step after step. Cross-entropy on two logits is binary cross-entropy on
    their margin.

    Attributes:
        channels: metrics a step, M.
        hidden: size of the state.
    """

    channels: int = 5
    hidden: int = 50
    epochs: int = 150
    learning_rate: float = 0.01

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> AttentionScorer:
        """Fit on float32 [S, T * channels]; initial weights and batches are drawn from `rng`.

        Raises:
            UsageError: the features are no whole number of steps.
        """
        require_steps(features.shape[1], self.channels)
        standardise = self.standardiser(features)
        network = AttentionNetwork(self.channels, self.hidden, drawn_generator(rng))
        trained = train(network, standardise.tensor(features), member, rng, self)
        return AttentionScorer(standardise, trained, rows=_ROWS)
