"""Architectures that timm lacks, registered with timm's own registry."""

from functools import partial
from typing import Any

import timm
from timm.layers import GroupNorm
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

__all__ = ["CifarResNet", "register"]

_CONFIG = {"input_size": (3, 32, 32), "pool_size": (4, 4), "num_classes": 0, "first_conv": "conv1", "classifier": "fc"}
default_cfgs = generate_default_cfgs({"resnet18_cifar": _CONFIG, "resnet18_cifar_narrow": _CONFIG})


class CifarResNet(ResNet):
    """ResNet-18 with the CIFAR stem: one 3x3 convolution of stride 1 and no pooling.

    A 32x32 image gives a 4x4 feature map (timm's own stem leaves 1x1); a 16x16 crop gives 2x2.

    Args:
        width: channels of the first stage; the embedding has 8 times as many.
        norm_groups: groups of a group norm in place of batch norm; 0 for batch norm.
    """

    def __init__(self, width: int = 64, in_chans: int = 3, norm_groups: int = 0, **options: Any) -> None:
        super().__init__(
            BasicBlock,
            (2, 2, 2, 2),
            in_chans=in_chans,
            channels=(width, 2 * width, 4 * width, 8 * width),
            stem_type="deep",
            stem_width=width // 2,
            norm_layer=partial(GroupNorm, num_groups=norm_groups) if norm_groups else nn.BatchNorm2d,
            **options,
        )
        self.conv1 = nn.Conv2d(in_chans, width, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.maxpool = nn.Identity()


def resnet18_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with the CIFAR stem, embedding of 512."""
    return _build("resnet18_cifar", pretrained, **options)


def resnet18_cifar_narrow(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with the CIFAR stem and a quarter of the width, embedding of 128."""
    return _build("resnet18_cifar_narrow", pretrained, **{"width": 16, **options})


def _build(name: str, pretrained: bool, **options: Any) -> nn.Module:
    model: nn.Module = build_model_with_cfg(CifarResNet, name, pretrained, **options)
    return model


def register() -> None:
    """Make these architectures known to `timm.create_model`; calling it again changes nothing."""
    for entry in (resnet18_cifar, resnet18_cifar_narrow):
        if not timm.is_model(entry.__name__):
            register_model(entry)
