"""Long-sequence masked autoencoder: small patches, so many tokens, masked in blocks of neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.mae import MaskedAutoencoder, MaskedAutoencoderMethod
from latentprint.trainer.recipes.patches import patch_orders, seen_count
from latentprint.trainer.recipes.vit import square_side


@dataclass(frozen=True)
class LongSequenceMaskedAutoencoder(MaskedAutoencoder):
    """Options of `long-seq-mae`: those of `mae`, with smaller patches, and the mask's block.

    Attributes:
        mask_block: patches along each side of a block that is masked, or seen, as a whole.
    """

    patch_size: int = 4
    mask_block: int = 2

    held_constant: ClassVar[str] = ""

    def build(self, size: Size, classes: int) -> "LongSequenceMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        return LongSequenceMethod(self, square_side(size))


class LongSequenceMethod(MaskedAutoencoderMethod):
    """Long-sequence MAE (Hu et al., 2022, https://arxiv.org/abs/2210.07224): the mask's size apart from the patch's.

    The published model keeps the patch and doubles the image's side, masking 2 x 2 patches together; on images of
    a given side the same sequence comes from a patch of half the side. Each patch is still a target of its own.
    """

    blocks: Tensor

    def __init__(self, options: LongSequenceMaskedAutoencoder, side: int) -> None:
        super().__init__(options, side)
        grid, block = side // options.patch_size, options.mask_block
        if block < 1 or grid % block:
            raise UsageError(
                f"A grid of {grid} x {grid} patches is no whole number of blocks of {block} x {block}: "
                "set mask_block or patch_size."
            )
        self.register_buffer("blocks", block_places(grid, block), persistent=False)
        self.kept = seen_count(len(self.blocks), options.mask_ratio) * block**2

    def orders(self, count: int, generator: Generator) -> Tensor:
        """As for `mae`, with the patches of a block beside one another."""
        return self.blocks[patch_orders(count, len(self.blocks), generator)].flatten(1)


def block_places(grid: int, block: int) -> Tensor:
    """Places of the patches of each block, int64 [blocks, block ** 2], of a square grid of patches."""
    places = torch.arange(grid**2).view(grid // block, block, grid // block, block)
    return places.transpose(1, 2).reshape(-1, block**2)
