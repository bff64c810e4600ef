"""What whoever serves a stolen encoder may do to its answers so that they look like another's, and still are of use.

Source: "Dataset Inference for Self-Supervised Models" (NeurIPS 2022): permutation, padding, linear map, rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from latentprint.core.encoders import Encoder
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP
from latentprint.encoder_server.settings import Obfuscation
from latentprint.encoder_server.victims import Victim

_STRETCH = 2.0  # a linear map stretches no direction by more than this, and shrinks none by more
_OBFUSCATED = (EMBEDDING, FEATURE_MAP)  # a posterior in another order or basis is none


class ObfuscatedEncoder(Encoder):
    """An encoder whose embedding and feature map are changed along their last dimension before anybody sees them.

    Args:
        encoder: what is obfuscated.
        steps: by output, what maps float32 [..., D] to [..., E].
    """

    def __init__(self, encoder: Encoder, steps: Mapping[str, nn.Module]) -> None:
        super().__init__(encoder.model, encoder.outputs, *encoder.channels)
        self.steps = nn.ModuleDict(dict(steps))

    def forward(self, samples: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """See `Encoder.forward`."""
        answers = super().forward(samples, outputs)
        with torch.autocast(samples.device.type, enabled=False):  # lower precision is the encoder's, not the map's
            return {
                name: self.steps[name](answer) if name in self.steps else answer for name, answer in answers.items()
            }


class _Permutation(nn.Module):
    """The coordinates in an order drawn at random."""

    order: Tensor

    def __init__(self, width: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("order", torch.from_numpy(rng.permutation(width)))

    def forward(self, answer: Tensor) -> Tensor:
        return answer[..., self.order]


class _Padding(nn.Module):
    """Coordinates of zeros after the others."""

    def __init__(self, width: int, columns: int) -> None:
        super().__init__()
        self.width = width + columns
        self._columns = columns

    def forward(self, answer: Tensor) -> Tensor:
        return nn.functional.pad(answer, (0, self._columns))


class _LinearMap(nn.Module):
    """An invertible map drawn at random, whose stretches lie log-uniformly between 1/2 and 2."""

    matrix: Tensor

    def __init__(self, width: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.width = width
        left, right = (np.linalg.qr(rng.normal(size=(width, width)))[0] for _ in range(2))
        matrix = left * _STRETCH ** rng.uniform(-1, 1, width) @ right
        self.register_buffer("matrix", torch.from_numpy(matrix.astype(np.float32)))

    def forward(self, answer: Tensor) -> Tensor:
        return answer @ self.matrix


class _Rounding(nn.Module):
    """Values of so many decimals."""

    def __init__(self, width: int, decimals: int) -> None:
        super().__init__()
        self.width = width
        self._decimals = decimals

    def forward(self, answer: Tensor) -> Tensor:
        return torch.round(answer, decimals=self._decimals)


_Made = _Permutation | _Padding | _LinearMap | _Rounding
_MAKERS: Mapping[str, Callable[[int, int, np.random.Generator], _Made]] = {
    "permutation": lambda width, _, rng: _Permutation(width, rng),
    "padding": lambda width, columns, _: _Padding(width, columns),
    "linear": lambda width, _, rng: _LinearMap(width, rng),
    "rounding": lambda width, decimals, _: _Rounding(width, decimals),
}


def obfuscated(victim: Victim, obfuscation: Obfuscation) -> Victim:
    """`victim` with its answers obfuscated; itself where there is nothing to do.

    Outputs of one width are mapped alike.
    """
    if not obfuscation.steps:
        return victim
    shapes = victim.encoder.shapes(victim.sample_shape)
    steps = {name: _chain(shape[-1], obfuscation) for name, shape in shapes.items() if name in _OBFUSCATED}
    return replace(victim, encoder=ObfuscatedEncoder(victim.encoder, steps))


def _chain(width: int, obfuscation: Obfuscation) -> nn.Module:
    """All steps, one after the other, on answers of `width`."""
    rng = np.random.default_rng([obfuscation.seed, width])
    made: list[_Made] = []
    for step in obfuscation.steps:
        made.append(_made(step, made[-1].width if made else width, rng))
    return nn.Sequential(*made)


def _made(step: ObfuscationStep, width: int, rng: np.random.Generator) -> _Made:
    return _MAKERS[step.name](width, step.amount, rng)
