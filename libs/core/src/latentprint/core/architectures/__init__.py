"""Architectures that timm lacks, registered with timm's own registry. Adding one: its file, its test, lines here."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

import timm
from timm.models import register_model
from torch import nn

from latentprint.core.architectures.lunet import LuNet, lunet, lunet_narrow
from latentprint.core.architectures.mlp import Mlp, mlp
from latentprint.core.architectures.mobilenet import CifarMobileNet, mobilenetv2_cifar
from latentprint.core.architectures.projected import Projected, projected
from latentprint.core.architectures.resnet import CifarResNet, resnet18_cifar, resnet18_cifar_narrow, resnet56_cifar
from latentprint.core.architectures.vgg import CifarVgg, vgg16_cifar
from latentprint.core.architectures.wide_resnet import WideResNet, wrn32_4_cifar
from latentprint.core.errors import UsageError
from latentprint.core.text import printable

__all__ = [
    "OPTIONS",
    "CifarMobileNet",
    "CifarResNet",
    "CifarVgg",
    "LuNet",
    "Mlp",
    "Projected",
    "WideResNet",
    "check_known",
    "register",
]

_ENTRIES: tuple[Callable[..., nn.Module], ...] = (
    resnet18_cifar,
    resnet18_cifar_narrow,
    resnet56_cifar,
    vgg16_cifar,
    wrn32_4_cifar,
    mobilenetv2_cifar,
    lunet,
    lunet_narrow,
    mlp,
)
_WIDTH = ("width",)

OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {entry.__name__: ("in_features", "hidden") if entry is mlp else _WIDTH for entry in _ENTRIES}
)
"""Architecture to its options of size; a width is of the first stage, in channels."""


def register() -> None:
    """Make these architectures known to `timm.create_model`; calling it again changes nothing."""
    for entry in (*_ENTRIES, projected):
        if not timm.is_model(entry.__name__):
            register_model(entry)


def check_known(name: str) -> None:
    """Raise `UsageError` for an architecture that neither timm nor latentprint has, with the nearest known names."""
    if timm.is_model(name):
        return
    near = get_close_matches(name.split(".")[0], timm.list_models(), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UsageError(f"Unknown architecture {printable(name)!r}.{hint} timm.list_models() names all of timm's.")
