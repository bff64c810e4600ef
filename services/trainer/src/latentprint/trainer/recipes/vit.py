"""Small vision transformers as recipes make them, and the tokens a masked one sees."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size, described, height_width
from latentprint.trainer.recipes.base import normalised

VIT = "vit_tiny_patch16_224"


def square_side(size: Size) -> int:
    """The side of square images. Raises `UsageError` for others, whose patches would make no square grid."""
    height, width = height_width(size)
    if height != width:
        raise UsageError(
            f"Recipes on a ViT train on square images, not on {described(size)}: take one on a ResNet, such as moco, "
            "or bring the images to a square."
        )
    return height


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
    from timm.layers import Attention

    for module in model.modules():
        if isinstance(module, Attention):
            module.fused_attn = False


def patches_of(images: Tensor, patch_size: int) -> Tensor:
    """Cut [B, H, W, 3] into patches [B, N, patch_size ** 2, 3], row by row."""
    batch, height, width, channels = images.shape
    rows, columns = height // patch_size, width // patch_size
    grid = images.view(batch, rows, patch_size, columns, patch_size, channels).transpose(2, 3)
    return grid.reshape(batch, rows * columns, patch_size**2, channels)


def ordered_patches(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    """Normalised patches [B, N, patch_size ** 2, 3] of [B, H, W, 3], each image's in its own `order` [B, N]."""
    patches = patches_of(images, patch_size)
    first = torch.arange(len(order), device=order.device).unsqueeze(1) * patches.shape[1]  # of each image
    chosen = patches.flatten(0, 1).index_select(0, (first + order).flatten())  # copies whole patches
    return normalised(chosen.view_as(patches))


def patch_tokens(vit: nn.Module, patches: Tensor, places: Tensor) -> Tensor:
    """What the ViT's first block sees of some patches: their embedding and position, [B, K, D].

    The same as its own convolution gives, without computing the patches that nobody sees.

    Args:
        vit: a ViT without class token.
        patches: normalised pixels [B, K, patch_size ** 2, 3].
        places: int64 [B, K], where in the image they are.
    """
    model: Any = vit
    projection = model.patch_embed.proj
    tokens = linear(patches.flatten(2), projection.weight.permute(0, 2, 3, 1).flatten(1), projection.bias)
    return tokens + positions(vit, places)


def positions(vit: nn.Module, places: Tensor) -> Tensor:
    """Position embeddings [B, K, D] of `places`, int64 [B, K], of a ViT without class token."""
    model: Any = vit
    embeddings: Tensor = model.pos_embed[0, places]
    return embeddings


def encode_patches(vit: nn.Module, patches: Tensor, places: Tensor) -> Tensor:
    """The ViT's tokens [B, K, D], after its last norm, of the patches [B, K, patch_size ** 2, 3] at `places` [B, K]."""
    tokens = patch_tokens(vit, patches, places)
    encoded: Tensor = vit.get_submodule("norm")(vit.get_submodule("blocks")(tokens))
    return encoded
