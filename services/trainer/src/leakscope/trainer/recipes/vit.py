"""Small vision transformers as recipes make them, and the tokens a masked one sees."""

from typing import Any

from timm.layers import Attention
from torch import Tensor, nn

from leakscope.core.errors import UsageError

VIT = "vit_tiny_patch16_224"


def vit_arguments(
    side: int, *, patch_size: int, embed_dim: int, depth: int, heads: int, classes: int = 0
) -> dict[str, Any]:
    """Arguments of timm's `vit_tiny_patch16_224` for a small average-pooled ViT that takes any multiple of a patch.

    Raises:
        UsageError: an image that is no whole number of patches, or a width that is no multiple of the heads.
    """
    if side % patch_size:
        raise UsageError(f"Images of {side} pixels are no whole number of patches of {patch_size}: set patch_size.")
    if embed_dim % heads:
        raise UsageError(f"embed_dim {embed_dim} is no multiple of heads {heads}.")
    return {
        "img_size": side,
        "patch_size": patch_size,
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": heads,
        "global_pool": "avg",
        "fc_norm": False,
        "class_token": False,
        "dynamic_img_size": True,
        "num_classes": classes,
    }


def plain_attention(model: nn.Module) -> None:
    """Use unfused attention: with a few tokens an image the fused kernel costs a third more on a CPU."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.fused_attn = False


def positioned_patches(vit: nn.Module, images: Tensor) -> Tensor:
    """Patch tokens with their position embedding, [B, N, D], from normalised images [B, 3, H, W]."""
    tokens: Tensor = vit.get_submodule("patch_embed")(images).flatten(1, 2)
    return tokens + vit.get_parameter("pos_embed")
