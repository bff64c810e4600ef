"""MobileNetV2 for small images."""

from functools import partial
from typing import Any

from timm.models import generate_default_cfgs
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from torch import nn

from latentprint.core.architectures.blocks import build, config, norm_layer

__all__ = ["CifarMobileNet"]

default_cfgs = generate_default_cfgs({"mobilenetv2_cifar": config("conv_stem", "classifier")})
_STAGES = (
    ["ds_r1_k3_s1_c16"],
    ["ir_r2_k3_s1_e6_c24"],
    ["ir_r3_k3_s2_e6_c32"],
    ["ir_r4_k3_s2_e6_c64"],
    ["ir_r3_k3_s1_e6_c96"],
    ["ir_r3_k3_s2_e6_c160"],
    ["ir_r1_k3_s1_e6_c320"],
)
_FULL_WIDTH, _EMBEDDING = 32, 1280


class CifarMobileNet(EfficientNet):
    """MobileNetV2 (Sandler et al., CVPR 2018) whose stem and second stage have stride 1.

    A 32x32 image gives a 4x4 feature map, a 16x16 crop 2x2.

    Args:
        width: channels of the stem, by which those of all stages scale, rounded to multiples of 8; the embedding has
            1,280 where it is at most 32, as in the paper.
        norm_groups: groups of a group norm in place of batch norm; 0 for batch norm.
    """

    def __init__(self, width: int = _FULL_WIDTH, in_chans: int = 3, norm_groups: int = 0, **options: Any) -> None:
        scaled = partial(round_channels, multiplier=width / _FULL_WIDTH)
        super().__init__(
            decode_arch_def([list(stage) for stage in _STAGES]),
            in_chans=in_chans,
            num_features=max(_EMBEDDING, scaled(_EMBEDDING)),
            stem_size=_FULL_WIDTH,
            round_chs_fn=scaled,
            norm_layer=norm_layer(norm_groups),
            act_layer=nn.ReLU6,
            **options,
        )
        self.conv_stem.stride = (1, 1)


def mobilenetv2_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """MobileNetV2 for small images, embedding of 1,280."""
    return build(CifarMobileNet, "mobilenetv2_cifar", pretrained, **options)
