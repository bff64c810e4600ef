"""Wide residual networks for small images."""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import generate_default_cfgs
from torch import Tensor, nn
from torch.nn.functional import relu

from latentprint.core.architectures.blocks import build, config, norm_layer

__all__ = ["WideResNet"]

default_cfgs = generate_default_cfgs({"wrn32_4_cifar": config("stem", "head.fc")})
_STEM = 16


class WideResNet(nn.Module):
    """A wide residual network (Zagoruyko and Komodakis, BMVC 2016, https://arxiv.org/abs/1605.07146), no dropout.

    Norm and ReLU come before each convolution. A 32x32 image gives an 8x8 feature map, a 16x16 crop 4x4.

    Args:
        depth: layers, of which each block of each of the three stages has two, rounded down to whole blocks.
        width: channels of the first stage, 16 times the widening factor; the embedding has 4 times as many.
        norm_groups: groups of a group norm in place of batch norm; 0 for batch norm.
    """

    def __init__(
        self,
        depth: int = 32,
        width: int = 64,
        num_classes: int = 0,
        in_chans: int = 3,
        norm_groups: int = 0,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = 4 * width
        self.stem = _convolution(in_chans, _STEM)
        channels = [_STEM, width, 2 * width, 4 * width]
        blocks = (depth - 2) // 6
        self.stages = nn.Sequential(
            *[
                _Block(channels[stage] if first else channels[stage + 1], channels[stage + 1], stride, norm_groups)
                for stage in range(3)
                for first, stride in [(True, 1 if stage == 0 else 2), *[(False, 1)] * (blocks - 1)]
            ]
        )
        self.norm = norm_layer(norm_groups)(self.num_features)
        self.head = ClassifierHead(self.num_features, num_classes, pool_type=global_pool)

    def get_classifier(self) -> nn.Module:
        """The linear layer on top."""
        layer: nn.Module = self.head.fc
        return layer

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Another linear layer on top, freshly initialised."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def forward_features(self, images: Tensor) -> Tensor:
        """Float [B, 3, H, W] to the features after the last norm, [B, D, H / 4, W / 4]."""
        return relu(self.norm(self.stages(self.stem(images))))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features [B, D, h, w] to logits [B, C], or to their mean [B, D] where `pre_logits`."""
        answer: Tensor = self.head(features, pre_logits=pre_logits)
        return answer

    def forward(self, images: Tensor) -> Tensor:
        """Float [B, 3, H, W] to logits [B, C]."""
        return self.forward_head(self.forward_features(images))


class _Block(nn.Module):
    """Two 3x3 convolutions and their shortcut, a projection of the normed input where the shape changes."""

    def __init__(self, entering: int, leaving: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        norm = norm_layer(norm_groups)
        self.norm1, self.conv1 = norm(entering), _convolution(entering, leaving, stride)
        self.norm2, self.conv2 = norm(leaving), _convolution(leaving, leaving)
        same = entering == leaving and stride == 1
        self.shortcut = None if same else _convolution(entering, leaving, stride, size=1)

    def forward(self, features: Tensor) -> Tensor:
        normed = relu(self.norm1(features))
        changed = self.conv2(relu(self.norm2(self.conv1(normed))))
        kept = features if self.shortcut is None else self.shortcut(normed)
        answer: Tensor = kept + changed
        return answer


def _convolution(entering: int, leaving: int, stride: int = 1, size: int = 3) -> nn.Conv2d:
    layer = nn.Conv2d(entering, leaving, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def wrn32_4_cifar(pretrained: bool = False, **options: Any) -> nn.Module:
    """Wide ResNet of 32 layers and widening factor 4, embedding of 256."""
    return build(WideResNet, "wrn32_4_cifar", pretrained, **options)
