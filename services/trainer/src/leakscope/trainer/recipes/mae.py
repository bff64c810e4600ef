"""Masked autoencoder: predict the pixels of masked patches from the few that are seen."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding, normalize_mean_var
from timm.models.vision_transformer import Block
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from leakscope.core.errors import UsageError
from leakscope.core.views.augmentations import MAE, Augmentation, augment
from leakscope.trainer.recipes.optimisers import adamw
from leakscope.trainer.recipes.per_record import PerRecordMethod
from leakscope.trainer.recipes.vit import VIT, encode_patches, ordered_patches, plain_attention, vit_arguments


@dataclass(frozen=True)
class MaskedAutoencoder:
    """Options of `mae`.

    Attributes:
        batch_size: images a step.
        learning_rate: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop.
        flip: probability of a horizontal flip.
        mask_ratio: fraction of the patches that the encoder does not see.
        patch_size, embed_dim, depth, heads: the ViT.
        decoder_dim, decoder_depth, decoder_heads: the decoder.
    """

    batch_size: int = 50
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    crop_scale_from: float = 1.0
    flip: float = 0.5
    mask_ratio: float = 0.75
    patch_size: int = 8
    embed_dim: int = 128
    depth: int = 4
    heads: int = 4
    decoder_dim: int = 64
    decoder_depth: int = 1
    decoder_heads: int = 4

    held_constant: ClassVar[str] = ""

    @property
    def augmentation(self) -> Augmentation:
        """Crop and flip."""
        return replace(MAE, crop_scale=(self.crop_scale_from, 1.0), flip_probability=self.flip)

    def build(self, side: int, classes: int) -> "MaskedAutoencoderMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        return MaskedAutoencoderMethod(self, side)


class PixelDecoder(nn.Module):
    """A few transformer blocks that fill in the masked patches' pixels.

    Args:
        patches: patches of an image, a square number.
        embed_dim: width of the encoder's tokens.
        pixels: values of one patch.
        dim, depth, heads: the decoder's own.
    """

    def __init__(self, patches: int, embed_dim: int, pixels: int, *, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.position = nn.Parameter(torch.empty(1, patches, dim))
        initialize_2d_sine_cosine_positional_embedding(self.position, has_class_token=False)
        self.blocks = nn.Sequential(*[Block(dim, heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, pixels)

    def forward(self, seen: Tensor, order: Tensor) -> Tensor:
        """Predict the masked patches' pixels.

        Args:
            seen: tokens [B, K, D] of the seen patches.
            order: int64 [B, N], places of the seen patches, then of the masked ones.

        Returns:
            float [B, N - K, pixels], in that order.
        """
        seen = self.embed(seen)
        masked = self.mask_token.to(seen.dtype).expand(len(order), order.shape[1] - seen.shape[1], -1)
        tokens = torch.cat([seen, masked], dim=1) + self.position[0, order]
        decoded = self.blocks(tokens)[:, seen.shape[1] :]
        predicted: Tensor = self.predict(self.norm(decoded))
        return predicted


class MaskedAutoencoderMethod(PerRecordMethod):
    """MAE (He et al., CVPR 2022, https://arxiv.org/abs/2111.06377) with per-patch-normalised pixels as target."""

    def __init__(self, options: MaskedAutoencoder, side: int) -> None:
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
        self.decoder = PixelDecoder(
            self.patches,
            options.embed_dim,
            3 * options.patch_size**2,
            dim=options.decoder_dim,
            depth=options.decoder_depth,
            heads=options.decoder_heads,
        )
        plain_attention(self)

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return adamw([self], self.options.learning_rate, self.options.weight_decay)

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Patches of one view, in a random order."""
        del labels, progress
        count = len(images)
        views = augment(images, self.augmentation, generator, images.shape[1], self.workers.rows(count))
        order = self.workers.mine(self.orders(count, generator))
        return {"patches": ordered_patches(views, self.options.patch_size, order), "order": order}

    def forward(self, patches: Tensor, order: Tensor) -> Tensor:
        """Mean squared error over each record's masked patches, float [b].

        Args:
            patches: normalised pixels [b, N, P, 3], the seen patches first.
            order: int64 [b, N], their places.
        """
        seen, masked = patches.tensor_split([self.kept], dim=1)
        predicted: Tensor = self.decoder(self.encode(seen, order[:, : self.kept]), order)
        target: Tensor = normalize_mean_var(masked.flatten(2))
        return (predicted.float() - target).square().mean(dim=(1, 2))

    def orders(self, count: int, generator: Generator) -> Tensor:
        """For each of `count` images, int64 [B, N]: its patches in random order, the seen ones first."""
        return patch_orders(count, self.patches, generator)

    def encode(self, patches: Tensor, places: Tensor) -> Tensor:
        """The encoder's tokens [B, K, D] of normalised patches [B, K, pixels of one, 3] at `places` [B, K]."""
        return encode_patches(self.backbone, patches, places)


def seen_count(units: int, mask_ratio: float) -> int:
    """How many of an image's patches, or blocks of them, the encoder sees.

    Raises:
        UsageError: none is seen, or none is masked.
    """
    kept = round(units * (1 - mask_ratio))
    if not 0 < kept < units:
        raise UsageError(
            f"mask_ratio {mask_ratio} of {units} patches leaves {kept} to see: "
            "choose one that leaves at least one seen and one masked, or a smaller patch_size."
        )
    return kept


def patch_orders(images: int, patches: int, generator: Generator) -> Tensor:
    """A random order of the patches for each image, int64 [B, N]: the first are seen, the rest masked."""
    return torch.rand(images, patches, generator=generator, device=generator.device).argsort(dim=1)
