"""Context autoencoder: predict what the encoder would say of masked patches from what it says of the seen ones."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.cross import CrossBlock
from latentprint.trainer.recipes.patches import PatchMethod, PatchOptions, pixel_targets, seen_count
from latentprint.trainer.recipes.vit import encode_patches, ordered_patches, plain_attention, positions, square_side


@dataclass(frozen=True)
class ContextAutoencoder(PatchOptions):
    """Options of `cae`, beside those of `PatchOptions`; regressor and decoder have the ViT's width and heads.

    Attributes:
        mask_ratio: fraction of the patches that the encoder does not see.
        alignment_weight: of the alignment loss beside the reconstruction's.
        regressor_depth: cross-attention blocks that predict the masked latents.
        decoder_depth: blocks from those latents to the targets.
    """

    mask_ratio: float = 0.5
    alignment_weight: float = 2.0
    regressor_depth: int = 1
    decoder_depth: int = 1

    held_constant: ClassVar[str] = ""

    def build(self, size: Size, classes: int) -> "ContextAutoencoderMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        if self.regressor_depth < 1 or self.decoder_depth < 1:
            raise UsageError("recipe 'cae': regressor_depth and decoder_depth must be at least 1.")
        return ContextAutoencoderMethod(self, square_side(size))


class LatentContextualRegressor(nn.Module):
    """Predicts latents of masked patches: mask queries look at the seen latents and at one another (CAE, Sec. 3.1)."""

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.mask_query = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.blocks = nn.ModuleList([CrossBlock(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, seen: Tensor, seen_position: Tensor, masked_position: Tensor) -> Tensor:
        """Latents [B, M, D] of the masked patches.

        Args:
            seen: the encoder's tokens [B, K, D] of the seen patches; they stay as they are.
            seen_position: their position embeddings [B, K, D].
            masked_position: those of the masked patches, [B, M, D].
        """
        context = seen + seen_position
        queries = self.mask_query.expand_as(masked_position)
        for block in self.blocks:
            placed = queries + masked_position
            queries = block(placed, torch.cat([context, placed], dim=1))
        latents: Tensor = self.norm(queries)
        return latents


class LatentDecoder(nn.Module):
    """Maps latents of masked patches to their pixels, without a look at the seen patches (CAE, Sec. 3.1)."""

    def __init__(self, dim: int, heads: int, depth: int, pixels: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.blocks = nn.Sequential(*[Block(dim, heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, pixels)
        plain_attention(self)

    def forward(self, latents: Tensor, position: Tensor) -> Tensor:
        """Pixels [B, M, values of one patch] from latents and position embeddings, both [B, M, D]."""
        predicted: Tensor = self.predict(self.norm(self.blocks(latents + position)))
        return predicted


class ContextAutoencoderMethod(PatchMethod):
    """CAE (Chen et al., IJCV 2023, https://arxiv.org/abs/2202.03026), with pixels as targets.

    The published targets are tokens of a pretrained discrete VAE (DALL-E's), which would bring in what other images
    taught it; here they are pixels normalised by patch, as in `mae`. Masked patches are drawn one by one, where the
    published mask is made of blocks of the same total.
    """

    options: ContextAutoencoder

    def __init__(self, options: ContextAutoencoder, side: int) -> None:
        super().__init__(options, side)
        self.kept = seen_count(self.patches, options.mask_ratio)
        dim, heads = options.embed_dim, options.heads
        self.regressor = LatentContextualRegressor(dim, heads, options.regressor_depth)
        self.decoder = LatentDecoder(dim, heads, options.decoder_depth, 3 * options.patch_size**2)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Patches in a random order, the seen ones first, and what the encoder says of the masked ones alone."""
        del labels, progress
        views, order = self.draw(images, generator)
        patches = ordered_patches(views, self.options.patch_size, order)
        with torch.no_grad():
            aligned_to = encode_patches(self.backbone, patches[:, self.kept :], order[:, self.kept :])
        return {"patches": patches, "order": order, "aligned_to": aligned_to}

    def forward(self, patches: Tensor, order: Tensor, aligned_to: Tensor) -> Tensor:
        """Squared error of the masked patches' pixels, plus the weighted one of their latents, float [b] (CAE, Eq. 1).

        Args:
            patches: normalised pixels [b, N, patch_size ** 2, 3], in `order`.
            order: int64 [b, N], places of the seen patches, then of the masked ones.
            aligned_to: the encoder's tokens [b, M, D] of the masked patches.
        """
        seen, masked = patches.tensor_split([self.kept], dim=1)
        latents, predicted = self.predictions(seen, order)
        errors = (predicted.float() - pixel_targets(masked.flatten(2))).square().mean(dim=(1, 2))
        distances = (latents.float() - aligned_to.float()).square().mean(dim=(1, 2))
        return errors + self.options.alignment_weight * distances

    def predictions(self, seen: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, M, D] and pixels [B, M, values of one] of the masked patches, from the seen ones alone.

        Args:
            seen: normalised pixels [B, K, patch_size ** 2, 3].
            order: int64 [B, N], places of the seen patches, then of the masked ones.
        """
        encoded = encode_patches(self.backbone, seen, order[:, : self.kept])
        seen_position, masked_position = positions(self.backbone, order).tensor_split([self.kept], dim=1)
        latents = self.regressor(encoded, seen_position, masked_position)
        return latents, self.decoder(latents, masked_position)
