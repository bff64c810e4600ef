"""Optimisers as recipes use them: no weight decay on norms, biases and tokens."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import SGD, AdamW


def _decay_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, object]]:
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    vectors = [p for p in trained if p.ndim < 2]
    groups: list[dict[str, object]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(
    modules: Iterable[nn.Module], learning_rate: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.95)
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019), fused."""
    return AdamW(_decay_groups(modules, weight_decay), lr=learning_rate, betas=betas, fused=True)


def sgd(
    modules: Iterable[nn.Module], learning_rate: float, weight_decay: float, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """SGD with momentum, fused."""
    return SGD(_decay_groups(modules, weight_decay), lr=learning_rate, momentum=momentum, fused=True)
