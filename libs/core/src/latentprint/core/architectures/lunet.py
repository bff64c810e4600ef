"""LuNet: a residual network for metric embeddings of people."""

from typing import Any

from timm.models import generate_default_cfgs
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from latentprint.core.architectures.blocks import build, config

__all__ = ["LuNet"]

_CONFIG = config("stem", "classifier")
default_cfgs = generate_default_cfgs({"lunet": _CONFIG, "lunet_narrow": _CONFIG})
_SLOPE = 0.3  # of the leaky ReLUs
_MULTIPLES = (1, 2, 2, 4, 4)  # of the width, channels of each stage


class LuNet(nn.Module):
    """A network of the kind of LuNet (Hermans et al., 2017, arXiv:1703.07737) for images of any height and width.

    One 7x7 convolution; stages of pre-activation bottleneck blocks (1x1, 3x3, 1x1, inner channels a quarter of the
    outer ones, leaky ReLU), each but the last followed by a 3x3 max pooling of stride 2; batch norm and leaky ReLU;
    then the head: the mean over places, a linear layer of `hidden` with batch norm and ReLU, and one of `embedding`.
    The paper's own list of blocks differs.

    Args:
        width: channels of the first stage; of up to five stages they are 1, 2, 2, 4 and 4 times as many.
        blocks: of each stage, 1 to 5 of them.
        hidden, embedding: widths of the head's two layers; the embedding is its answer, without a norm.
    """

    def __init__(
        self,
        width: int = 128,
        blocks: tuple[int, ...] = (1, 2, 3, 3, 2),
        hidden: int = 512,
        embedding: int = 128,
        num_classes: int = 0,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = embedding
        self.stem = nn.Conv2d(in_chans, width, 7, padding=3, bias=False)
        layers: list[nn.Module] = []
        entering = width
        for stage, count in enumerate(blocks):
            for _ in range(count):
                layers.append(_Bottleneck(entering, _MULTIPLES[stage] * width))
                entering = _MULTIPLES[stage] * width
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stages = nn.Sequential(*layers[:-1])
        self.norm = nn.BatchNorm2d(entering)
        self.head = nn.Sequential(
            nn.Linear(entering, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, embedding)
        )
        self.classifier: nn.Module = nn.Identity()
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The linear layer on top of the embedding; the identity where there are no classes."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Another linear layer on top, freshly initialised."""
        del global_pool
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, images: Tensor) -> Tensor:
        """Float [B, 3, H, W] to the features after the last norm, [B, D, h, w]."""
        return leaky_relu(self.norm(self.stages(self.stem(images))), _SLOPE)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features [B, D, h, w] to logits [B, C], or to the embedding where `pre_logits`."""
        embedding: Tensor = self.head(features.mean(dim=(2, 3)))
        return embedding if pre_logits else self.classifier(embedding)

    def forward(self, images: Tensor) -> Tensor:
        """Float [B, 3, H, W] to logits [B, C], or to the embedding where there are no classes."""
        return self.forward_head(self.forward_features(images))


class _Bottleneck(nn.Module):
    """Norm, leaky ReLU and convolution three times, and their shortcut, a projection where the channels change."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        inner = max(1, leaving // 4)
        self.norm1, self.conv1 = nn.BatchNorm2d(entering), nn.Conv2d(entering, inner, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.norm3, self.conv3 = nn.BatchNorm2d(inner), nn.Conv2d(inner, leaving, 1, bias=False)
        self.shortcut = nn.Identity() if entering == leaving else nn.Conv2d(entering, leaving, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        changed = self.conv1(leaky_relu(self.norm1(features), _SLOPE))
        changed = self.conv2(leaky_relu(self.norm2(changed), _SLOPE))
        changed = self.conv3(leaky_relu(self.norm3(changed), _SLOPE))
        answer: Tensor = self.shortcut(features) + changed
        return answer


def lunet(pretrained: bool = False, **options: Any) -> nn.Module:
    """LuNet for 128x64, embedding of 128."""
    return build(LuNet, "lunet", pretrained, **options)


def lunet_narrow(pretrained: bool = False, **options: Any) -> nn.Module:
    """A LuNet that two cores can train on 32x16: a quarter of the width, three stages of a block, embedding of 128."""
    return build(LuNet, "lunet_narrow", pretrained, **{"width": 32, "blocks": (1, 1, 1), **options})
