"""Context autoencoder: predict what the encoder would say of masked patches from what it says of the seen ones."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding, normalize_mean_var
from timm.models.vision_transformer import Block
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from leakscope.core.errors import UsageError
from leakscope.core.views.augmentations import MAE, Augmentation, augment
from leakscope.trainer.recipes.cross import CrossBlock
from leakscope.trainer.recipes.mae import patch_orders, seen_count
from leakscope.trainer.recipes.optimisers import adamw
from leakscope.trainer.recipes.per_record import PerRecordMethod
from leakscope.trainer.recipes.vit import (
    VIT,
    encode_patches,
    ordered_patches,
    plain_attention,
    positions,
    vit_arguments,
)


@dataclass(frozen=True)
class ContextAutoencoder:
    """Options of `cae`.

    Attributes:
        batch_size: images a step.
        learning_rate: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop.
        flip: probability of a horizontal flip.
        mask_ratio: fraction of the patches that the encoder does not see.
        alignment_weight: of the alignment loss beside the reconstruction's.
        patch_size, embed_dim, depth, heads: the ViT; regressor and decoder have its width and heads.
        regressor_depth: cross-attention blocks that predict the masked latents.
        decoder_depth: blocks from those latents to the targets.
    """

    batch_size: int = 50
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    crop_scale_from: float = 1.0
    flip: float = 0.5
    mask_ratio: float = 0.5
    alignment_weight: float = 2.0
    patch_size: int = 8
    embed_dim: int = 128
    depth: int = 4
    heads: int = 4
    regressor_depth: int = 1
    decoder_depth: int = 1

    held_constant: ClassVar[str] = ""

    @property
    def augmentation(self) -> Augmentation:
        """Crop and flip."""
        return replace(MAE, crop_scale=(self.crop_scale_from, 1.0), flip_probability=self.flip)

    def build(self, side: int, classes: int) -> "ContextAutoencoderMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        if self.regressor_depth < 1 or self.decoder_depth < 1:
            raise UsageError("recipe 'cae': regressor_depth and decoder_depth must be at least 1.")
        return ContextAutoencoderMethod(self, side)


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
        super().__init__()
        self.blocks = nn.Sequential(*[Block(dim, heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, pixels)

    def forward(self, latents: Tensor, position: Tensor) -> Tensor:
        """Pixels [B, M, values of one patch] from latents and position embeddings, both [B, M, D]."""
        predicted: Tensor = self.predict(self.norm(self.blocks(latents + position)))
        return predicted


class ContextAutoencoderMethod(PerRecordMethod):
    """CAE (Chen et al., IJCV 2023, https://arxiv.org/abs/2202.03026), with pixels as targets.

    The published targets are tokens of a pretrained discrete VAE (DALL-E's), which would bring in what other images
    taught it; here they are pixels normalised by patch, as in `mae`. Masked patches are drawn one by one, where the
    published mask is made of blocks of the same total.
    """

    def __init__(self, options: ContextAutoencoder, side: int) -> None:
        arguments = vit_arguments(
            side,
            patch_size=options.patch_size,
            embed_dim=options.embed_dim,
            depth=options.depth,
            heads=options.heads,
        )
        super().__init__(VIT, arguments)
        self.options = options
        self.augmentation = options.augmentation
        self.patches = (side // options.patch_size) ** 2
        self.kept = seen_count(self.patches, options.mask_ratio)
        initialize_2d_sine_cosine_positional_embedding(self.backbone.get_parameter("pos_embed"), has_class_token=False)
        dim, heads = options.embed_dim, options.heads
        self.regressor = LatentContextualRegressor(dim, heads, options.regressor_depth)
        self.decoder = LatentDecoder(dim, heads, options.decoder_depth, 3 * options.patch_size**2)
        plain_attention(self)

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return adamw([self], self.options.learning_rate, self.options.weight_decay)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Patches in a random order, the seen ones first, and what the encoder says of the masked ones alone."""
        del labels, progress
        count = len(images)
        views = augment(images, self.augmentation, generator, images.shape[1], self.workers.rows(count))
        order = self.workers.mine(patch_orders(count, self.patches, generator))
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
        target: Tensor = normalize_mean_var(masked.flatten(2))
        errors = (predicted.float() - target).square().mean(dim=(1, 2))
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
