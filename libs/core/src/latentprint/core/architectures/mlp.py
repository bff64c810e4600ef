"""A multi-layer perceptron for vectors, with the interface of timm's models."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from timm.models import generate_default_cfgs
from torch import Tensor, nn

from latentprint.core.architectures.blocks import build

__all__ = ["Mlp"]

default_cfgs = generate_default_cfgs(
    {"mlp": {"input_size": (1, 1, 1), "num_classes": 0, "mean": (0.0,), "std": (1.0,), "classifier": "fc"}}
)


class Mlp(nn.Module):
    """Linear layers with ReLU between them; it has no norm, so no answer depends on the others of its batch.

    Args:
        in_features: length of a vector.
        hidden: width of each hidden layer, or of the only one; the last is the embedding's.
        num_classes: 0 for no linear layer on top.
    """

    def __init__(self, in_features: int, hidden: int | Sequence[int] = 256, num_classes: int = 0) -> None:
        super().__init__()
        widths = [in_features, *([hidden] if isinstance(hidden, int) else hidden)]
        self.in_features = in_features
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = widths[-1]
        layers: list[nn.Module] = []
        for entering, leaving in pairwise(widths):
            layers += [nn.Linear(entering, leaving), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The linear layer on top."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Another linear layer on top, freshly initialised; there is nothing to pool."""
        del global_pool
        self.num_classes = num_classes
        self.fc: nn.Module = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, vectors: Tensor) -> Tensor:
        """Float [B, F] to the last hidden layer's answer [B, D]."""
        answer: Tensor = self.features(vectors)
        return answer

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features [B, D] to logits [B, C], or as they are where `pre_logits`."""
        answer: Tensor = features if pre_logits else self.fc(features)
        return answer

    def forward(self, vectors: Tensor) -> Tensor:
        """Float [B, F] to logits [B, C]."""
        return self.forward_head(self.forward_features(vectors))


def mlp(pretrained: bool = False, **options: Any) -> nn.Module:
    """Perceptron with one hidden layer of 256 unless `hidden` says otherwise; `in_features` is needed."""
    return build(Mlp, "mlp", pretrained, kwargs_filter=("in_chans", "global_pool"), **options)
