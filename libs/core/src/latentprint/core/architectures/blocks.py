"""What the architectures for small images share."""

from collections.abc import Callable
from functools import partial
from typing import Any

from timm.layers import GroupNorm
from timm.models import build_model_with_cfg
from torch import nn


def config(first_conv: str, classifier: str) -> dict[str, Any]:
    """How timm is told of an architecture for 32x32 images, with the names of its first and its last layer."""
    return {
        "input_size": (3, 32, 32),
        "pool_size": (4, 4),
        "num_classes": 0,
        "first_conv": first_conv,
        "classifier": classifier,
    }


def norm_layer(groups: int) -> Callable[..., nn.Module]:
    """What makes a norm of so many channels: a group norm of `groups`, or a batch norm where that is 0."""
    return partial(GroupNorm, num_groups=groups) if groups else nn.BatchNorm2d


def build(cls: type[nn.Module], name: str, pretrained: bool, **options: Any) -> nn.Module:
    """A model of the architecture `name` as timm builds its own."""
    model: nn.Module = build_model_with_cfg(cls, name, pretrained, **options)
    return model
