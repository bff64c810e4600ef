"""Architectures that timm lacks, registered with timm's own registry. Adding one: its file, its test, lines here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import timm
from timm.models import register_model
from torch import nn

from leakscope.core.architectures.mlp import Mlp, mlp
from leakscope.core.architectures.mobilenet import CifarMobileNet, mobilenetv2_cifar
from leakscope.core.architectures.resnet import CifarResNet, resnet18_cifar, resnet18_cifar_narrow, resnet56_cifar
from leakscope.core.architectures.vgg import CifarVgg, vgg16_cifar
from leakscope.core.architectures.wide_resnet import WideResNet, wrn32_4_cifar

__all__ = [
    "OPTIONS",
    "CifarMobileNet",
    "CifarResNet",
    "CifarVgg",
    "Mlp",
    "WideResNet",
    "register",
]

_ENTRIES: tuple[Callable[..., nn.Module], ...] = (
    resnet18_cifar,
    resnet18_cifar_narrow,
    resnet56_cifar,
    vgg16_cifar,
    wrn32_4_cifar,
    mobilenetv2_cifar,
    mlp,
)
_WIDTH = ("width",)

OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {entry.__name__: ("in_features", "hidden") if entry is mlp else _WIDTH for entry in _ENTRIES}
)
"""Architecture to its options of size; a width is of the first stage, in channels."""


def register() -> None:
    """Make these architectures known to `timm.create_model`; calling it again changes nothing."""
    for entry in _ENTRIES:
        if not timm.is_model(entry.__name__):
            register_model(entry)
