"""Batch norm, or group norm where no record may depend on the others."""

from typing import Any, Literal

from torch import nn

Norm = Literal["batch", "group"]
_GROUPS = 8


def norm_arguments(norm: Norm) -> dict[str, Any]:
    """What a ResNet with CIFAR stem is made with, beside its name, to have this norm."""
    return {} if norm == "batch" else {"norm_groups": _GROUPS}


def vector_norm(norm: Norm, dim: int) -> nn.Module:
    """A norm of vectors [B, dim]; group norm takes 8 groups (Wu and He, ECCV 2018)."""
    return nn.BatchNorm1d(dim) if norm == "batch" else nn.GroupNorm(_GROUPS, dim)
