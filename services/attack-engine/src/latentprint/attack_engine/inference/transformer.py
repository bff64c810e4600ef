"""A transformer encoder in the place of SeqMIA's LSTM: the paper's ablation."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.steps import require_steps, steps_of
from latentprint.attack_engine.inference.training import NetworkScorer, SequenceTraining, drawn_generator, train
from latentprint.core.errors import UsageError

_ROWS = 2000


class TransformerNetwork(nn.Module):
    """Steps embedded, sinusoidal positions added, pre-norm encoder blocks without dropout, mean over steps, a logit."""

    def __init__(self, channels: int, steps: int, width: int, heads: int, layers: int, generator: torch.Generator):
        super().__init__()
        self.channels = channels
        self.embed = nn.Linear(channels, width)
        self.register_buffer("positions", sinusoids(steps, width))
        block = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(block, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B] of sequences [B, T * M]."""
        embedded = self.embed(steps_of(inputs, self.channels)) + self.get_buffer("positions")
        logits: Tensor = self.head(self.encoder(embedded).mean(dim=1)).squeeze(-1)
        return logits


def sinusoids(steps: int, width: int) -> Tensor:
    """Positions float32 [T, width]: sines, then cosines (Vaswani et al., NeurIPS 2017, Sec. 3.5)."""
    frequency = torch.exp(torch.arange(width // 2) * (-math.log(10_000.0) / (width // 2)))
    angle = torch.arange(steps).unsqueeze(1) * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


@dataclass(frozen=True)
class SequenceTransformer(SequenceTraining):
    """Transformer encoder on sequences of metrics (SeqMIA, CCS 2024, Table 5, which gives no sizes).

    Attributes:
        channels: metrics a step, M.
        width: of a step's embedding, even.
        heads: of attention; they share the width evenly.
        layers: encoder blocks.
    """

    channels: int = 5
    width: int = 32
    heads: int = 2
    layers: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be built. Raises `UsageError`."""
        if self.width % 2 or self.heads < 1 or self.width % self.heads:
            raise UsageError(f"transformer: width {self.width} must be even and a multiple of heads {self.heads}.")

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> NetworkScorer:
        """Fit on float32 [S, T * channels]; initial weights and batches are drawn from `rng`.

        Raises:
            UsageError: the features are no whole number of steps.
        """
        steps = require_steps(features.shape[1], self.channels)
        standardise = self.standardiser(features)
        network = TransformerNetwork(self.channels, steps, self.width, self.heads, self.layers, drawn_generator(rng))
        trained = train(network, standardise.tensor(features), member, rng, self)
        return NetworkScorer(standardise, trained, rows=_ROWS)
