"""ResNets with the CIFAR stem."""

from math import gcd
from typing import Any

from timm.models import generate_default_cfgs
from timm.models.resnet import BasicBlock, ResNet
from torch import nn

from latentprint.core.architectures.blocks import build, config, norm_layer

__all__ = ["CifarResNet"]

_CONFIG = config("conv1", "fc")
default_cfgs = generate_default_cfgs(
    {"resnet18_cifar": _CONFIG, "resnet18_cifar_narrow": _CONFIG, "resnet56_cifar": _CONFIG}
)


class CifarResNet(ResNet):
    """A ResNet of basic blocks with the CIFAR stem: one 3x3 convolution of stride 1 and no pooling.

    With four stages a 32x32 image gives a 4x4 feature map (timm's own stem leaves 1x1) and a 16x16 crop 2x2, with three
    8x8 and 4x4.

    Args:
        width: channels of the first stage; each next stage has twice as many.
        blocks: of each of three or four stages; a ResNet-18 by default.
        norm_groups: groups of a group norm in place of batch norm, fewer where they do not divide half of the width;
            0 for batch norm.
    """

    def __init__(
        self,
        width: int = 64,
        in_chans: int = 3,
        norm_groups: int = 0,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        **options: Any,
    ) -> None:
        super().__init__(
            BasicBlock,
            blocks,
            in_chans=in_chans,
            channels=tuple(width * 2**stage for stage in range(len(blocks))),
            stem_type="deep",
            stem_width=width // 2,
            norm_layer=norm_layer(gcd(norm_groups, width // 2) if norm_groups else 0),
            **options,
        )
        self.conv1 = nn.Conv2d(in_chans, width, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.maxpool = nn.Identity()
        if len(blocks) == 3:
            self.layer4 = nn.Identity()


def resnet18_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with the CIFAR stem, embedding of 512."""
    return build(CifarResNet, "resnet18_cifar", pretrained, **options)


def resnet18_cifar_narrow(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-18 with the CIFAR stem and a quarter of the width, embedding of 128."""
    return build(CifarResNet, "resnet18_cifar_narrow", pretrained, **{"width": 16, **options})


def resnet56_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """ResNet-56 for CIFAR (He et al., CVPR 2016, section 4.2) with projections as shortcuts, embedding of 64."""
    return build(CifarResNet, "resnet56_cifar", pretrained, **{"width": 16, "blocks": (9, 9, 9), **options})
