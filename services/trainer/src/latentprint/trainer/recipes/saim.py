"""Stochastic autoregressive image modelling: predict each patch from those before it in a random order."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.core.views.blur import gaussian_blur
from latentprint.trainer.recipes.cross import CrossBlock
from latentprint.trainer.recipes.patches import PatchMethod, PatchOptions, pixel_targets
from latentprint.trainer.recipes.vit import ordered_patches, patch_tokens, positions, square_side


@dataclass(frozen=True)
class StochasticAutoregression(PatchOptions):
    """Options of `saim`, beside those of `PatchOptions`; the decoder has the ViT's width and heads.

    Attributes:
        target_blur: standard deviation in pixels of the Gaussian that smooths the targets; 0 means none.
        decoder_depth: blocks of the decoder, a divisor of `depth` (the paper's: `depth` itself).
    """

    target_blur: float = 0.0
    decoder_depth: int = 2

    held_constant: ClassVar[str] = ""

    def build(self, size: Size, classes: int) -> "StochasticAutoregressionMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        if self.decoder_depth < 1 or self.depth % self.decoder_depth:
            raise UsageError(
                f"recipe 'saim': decoder_depth {self.decoder_depth} must divide the encoder's depth {self.depth}."
            )
        if self.target_blur < 0:
            raise UsageError("recipe 'saim': target_blur must not be negative.")
        return StochasticAutoregressionMethod(self, square_side(size))


class ParallelDecoder(nn.Module):
    """Blocks beside the encoder's, whose queries know a place and see the encoder's tokens of earlier patches.

    The first patch has none before it: all see a learned start token too.
    """

    def __init__(self, dim: int, heads: int, depth: int, pixels: int) -> None:
        from timm.layers import Mlp

        super().__init__()
        self.start = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.blocks = nn.ModuleList([CrossBlock(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.predict = Mlp(dim, 4 * dim, pixels)

    def forward(self, queries: Tensor, states: list[Tensor]) -> Tensor:
        """Predict every patch's pixels.

        Args:
            queries: position embeddings [B, N, D], in each image's order.
            states: the encoder's tokens [B, N, D] that each block sees, in the same order.

        Returns:
            float [B, N, pixels], in the same order.
        """
        later = torch.ones(2 * [queries.shape[1]], dtype=torch.bool, device=queries.device).triu()
        hidden = nn.functional.pad(later, (1, 0)).unsqueeze(0)  # [1, N, 1 + N]; the start token is never hidden
        start = self.start.expand(len(queries), -1, -1)
        for block, state in zip(self.blocks, states, strict=True):
            queries = block(queries, torch.cat([start.to(state.dtype), state], dim=1), hidden)
        predicted: Tensor = self.predict(self.norm(queries))
        return predicted


class StochasticAutoregressionMethod(PatchMethod):
    """SAIM (Qi et al., AAAI 2023, https://arxiv.org/abs/2212.01610): a content encoder and a query decoder in parallel.

    In each image's random order a token of the encoder sees itself and those before it, and a query of the decoder
    those before it alone; targets are pixels normalised by patch. Tokens are put in that order, so that both masks
    are triangles.
    """

    options: StochasticAutoregression

    def __init__(self, options: StochasticAutoregression, side: int) -> None:
        super().__init__(options, side)
        self.decoder = ParallelDecoder(
            options.embed_dim, options.heads, options.decoder_depth, 3 * options.patch_size**2
        )

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Patches in a random order, and their targets."""
        del labels, progress
        size = self.options.patch_size
        views, order = self.draw(images, generator)
        target = pixel_targets(ordered_patches(self._smoothed(views), size, order).flatten(2))
        return {"patches": ordered_patches(views, size, order), "order": order, "target": target}

    def forward(self, patches: Tensor, order: Tensor, target: Tensor) -> Tensor:
        """Mean squared error over all patches, each predicted from those before it, float [b].

        Args:
            patches: normalised pixels [b, N, patch_size ** 2, 3], in `order`.
            order: int64 [b, N], their places.
            target: float [b, N, values of one patch], in `order`.
        """
        return (self.predictions(patches, order).float() - target).square().mean(dim=(1, 2))

    def predictions(self, patches: Tensor, order: Tensor) -> Tensor:
        """Pixels [B, N, values of one] of each patch, from those before it in `order` [B, N].

        Args:
            patches: normalised pixels [B, N, patch_size ** 2, 3], in that order.
            order: int64 [B, N], their places.
        """
        step = self.options.depth // self.options.decoder_depth
        states = self.encode(patches, order, causal=True)[step - 1 :: step]
        predicted: Tensor = self.decoder(positions(self.backbone, order), states)
        return predicted

    def encode(self, patches: Tensor, order: Tensor, *, causal: bool) -> list[Tensor]:
        """The encoder's tokens [B, N, D] after each of its blocks, the last after its norm too.

        Args:
            patches: as for `predictions`.
            order: as for `predictions`.
            causal: whether a token sees only itself and those before it; the published encoder sees all.
        """
        tokens = patch_tokens(self.backbone, patches, order)
        states = []
        for block in self.backbone.get_submodule("blocks").children():
            tokens = block(tokens, is_causal=causal)
            states.append(tokens)
        return [*states[:-1], self.backbone.get_submodule("norm")(states[-1])]

    def _smoothed(self, views: Tensor) -> Tensor:
        if not self.options.target_blur:
            return views
        planes = views.permute(0, 3, 1, 2).float()
        sigma = torch.full((len(views),), self.options.target_blur, device=views.device)
        return gaussian_blur(planes, sigma).permute(0, 2, 3, 1).contiguous()
