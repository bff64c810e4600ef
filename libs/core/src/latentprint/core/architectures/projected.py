"""An encoder with a linear projection on top, so that its embedding has a width that its architecture does not give."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.models import generate_default_cfgs
from torch import Tensor, nn

from latentprint.core.architectures.blocks import build, config

__all__ = ["Projected"]

default_cfgs = generate_default_cfgs({"projected": config("", "fc")})


class Projected(nn.Module):
    """Another architecture whose pooled features pass through a linear layer, with the interface of timm's models.

    Args:
        of: the architecture below, a name that timm knows.
        width: of the embedding.
        of_args: what `timm.create_model` needs to make it.
        num_classes: 0; an encoder alone is projected.
    """

    def __init__(self, of: str, width: int, of_args: Mapping[str, Any] | None = None, num_classes: int = 0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = width
        self.encoder: Any = timm.create_model(of, **{**(of_args or {}), "num_classes": 0})
        self.projection = nn.Linear(int(self.encoder.num_features), width)
        self.output_fmt = getattr(self.encoder, "output_fmt", "NCHW")
        self.num_prefix_tokens = int(getattr(self.encoder, "num_prefix_tokens", 0))

    def get_classifier(self) -> nn.Module:
        """There is none."""
        return nn.Identity()

    def forward_features(self, images: Tensor) -> Any:
        """Float [B, 3, H, W] to what the architecture below gives."""
        return self.encoder.forward_features(images)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Its features to embeddings [B, `width`]."""
        del pre_logits
        embedding: Tensor = self.projection(self.encoder.forward_head(features, pre_logits=True))
        return embedding

    def forward(self, images: Tensor) -> Tensor:
        """Float [B, 3, H, W] to embeddings [B, `width`]."""
        return self.forward_head(self.forward_features(images))


def projected(pretrained: bool = False, **options: Any) -> nn.Module:
    """The architecture `of`, made with `of_args`, with an embedding of `width`."""
    return build(Projected, "projected", pretrained, kwargs_filter=("in_chans", "global_pool", "img_size"), **options)
