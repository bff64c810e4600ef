"""Masked autoencoder: predict the pixels of masked patches from the few that are seen."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from latentprint.core.samples import Size
from latentprint.trainer.recipes.patches import PatchMethod, PatchOptions, pixel_targets, seen_count
from latentprint.trainer.recipes.vit import encode_patches, ordered_patches, plain_attention, square_side


@dataclass(frozen=True)
class MaskedAutoencoder(PatchOptions):
    """Options of `mae`, beside those of `PatchOptions`.

    Attributes:
        mask_ratio: fraction of the patches that the encoder does not see.
        decoder_dim, decoder_depth, decoder_heads: the decoder.
    """

    learning_rate: float = 2e-3
    mask_ratio: float = 0.75
    decoder_dim: int = 64
    decoder_depth: int = 1
    decoder_heads: int = 4

    held_constant: ClassVar[str] = ""

    def build(self, size: Size, classes: int) -> "MaskedAutoencoderMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        return MaskedAutoencoderMethod(self, square_side(size))


class PixelDecoder(nn.Module):
    """A few transformer blocks that fill in the masked patches' pixels.

    Args:
        patches: patches of an image, a square number.
        embed_dim: width of the encoder's tokens.
        pixels: values of one patch.
        dim, depth, heads: the decoder's own.
    """

    def __init__(self, patches: int, embed_dim: int, pixels: int, *, dim: int, depth: int, heads: int) -> None:
        from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
        from timm.models.vision_transformer import Block

        super().__init__()
        self.embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.position = nn.Parameter(torch.empty(1, patches, dim))
        initialize_2d_sine_cosine_positional_embedding(self.position, has_class_token=False)
        self.blocks = nn.Sequential(*[Block(dim, heads, qkv_bias=True) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, pixels)
        plain_attention(self)

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


class MaskedAutoencoderMethod(PatchMethod):
    """MAE (He et al., CVPR 2022, https://arxiv.org/abs/2111.06377) with per-patch-normalised pixels as target."""

    options: MaskedAutoencoder

    def __init__(self, options: MaskedAutoencoder, side: int) -> None:
        super().__init__(options, side)
        self.kept = seen_count(self.patches, options.mask_ratio)
        self.decoder = PixelDecoder(
            self.patches,
            options.embed_dim,
            3 * options.patch_size**2,
            dim=options.decoder_dim,
            depth=options.decoder_depth,
            heads=options.decoder_heads,
        )

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Patches of one view, in a random order."""
        del labels, progress
        views, order = self.draw(images, generator)
        return {"patches": ordered_patches(views, self.options.patch_size, order), "order": order}

    def forward(self, patches: Tensor, order: Tensor) -> Tensor:
        """Mean squared error over each record's masked patches, float [b].

        Args:
            patches: normalised pixels [b, N, P, 3], the seen patches first.
            order: int64 [b, N], their places.
        """
        seen, masked = patches.tensor_split([self.kept], dim=1)
        predicted: Tensor = self.decoder(self.encode(seen, order[:, : self.kept]), order)
        return (predicted.float() - pixel_targets(masked.flatten(2))).square().mean(dim=(1, 2))

    def encode(self, patches: Tensor, places: Tensor) -> Tensor:
        """The encoder's tokens [B, K, D] of normalised patches [B, K, pixels of one, 3] at `places` [B, K]."""
        return encode_patches(self.backbone, patches, places)
