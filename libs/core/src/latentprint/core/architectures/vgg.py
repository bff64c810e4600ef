"""VGG-16 with one linear layer on top, for small images."""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import generate_default_cfgs
from timm.models.vgg import VGG
from torch import Tensor, nn

from latentprint.core.architectures.blocks import build, config, norm_layer

__all__ = ["CifarVgg"]

default_cfgs = generate_default_cfgs({"vgg16_cifar": config("features.0", "head.fc")})
_SHRINK = "M"
_STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # multiple of the width, convolutions
_NO_HIDDEN_LAYERS = 1 / 4096  # timm builds them before they can be taken away


class CifarVgg(VGG):
    """VGG-16 (Simonyan and Zisserman, ICLR 2015) with a norm after each convolution and one linear layer.

    The last max-pooling is the head's, over all that is left, which at 32x32 is the same: so the feature map keeps 2x2
    places there, and smaller images pass too.

    Args:
        width: channels of the first stage; the embedding has 8 times as many.
        norm_groups: groups of a group norm in place of batch norm; 0 for batch norm.
    """

    def __init__(
        self,
        width: int = 64,
        num_classes: int = 0,
        in_chans: int = 3,
        norm_groups: int = 0,
        global_pool: str = "max",
        drop_rate: float = 0.0,
    ) -> None:
        layers: list[Any] = []
        for multiple, convolutions in _STAGES:
            layers += [*[multiple * width] * convolutions, _SHRINK]
        super().__init__(
            layers[:-1],
            in_chans=in_chans,
            mlp_ratio=_NO_HIDDEN_LAYERS,
            norm_layer=norm_layer(norm_groups),
            drop_rate=drop_rate,
        )
        self.num_classes = num_classes
        self.pre_logits = nn.Identity()
        self.head = ClassifierHead(self.num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        self.head_hidden_size = self.num_features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features [B, D, h, w] to logits [B, C], or to their pooling [B, D] where `pre_logits`."""
        answer: Tensor = self.head(x, pre_logits=pre_logits)
        return answer


def vgg16_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """VGG-16 with batch norm for small images, embedding of 512."""
    return build(CifarVgg, "vgg16_cifar", pretrained, **options)
