"""What recipes on the patches of one view share: a ViT, AdamW, crop and flip, and a random order of the patches."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import layer_norm
from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.views.augmentations import MAE, Augmentation, augment
from latentprint.trainer.recipes.optimisers import adamw
from latentprint.trainer.recipes.per_record import PerRecordMethod
from latentprint.trainer.recipes.vit import VIT, plain_attention, vit_arguments

_SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True)
class PatchOptions:
    """Options of every recipe on patches.

    Attributes:
        batch_size: images a step.
        learning_rate: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup: fraction of the schedule with a rising learning rate.
        crop_scale_from: lower bound of the crop's area fraction; 1.0 means no crop.
        flip: probability of a horizontal flip.
        patch_size, embed_dim, depth, heads: the ViT.
    """

    batch_size: int = 50
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    crop_scale_from: float = 1.0
    flip: float = 0.5
    patch_size: int = 8
    embed_dim: int = 128
    depth: int = 4
    heads: int = 4

    @property
    def augmentation(self) -> Augmentation:
        """Crop and flip."""
        return replace(MAE, crop_scale=(self.crop_scale_from, 1.0), flip_probability=self.flip)


class PatchMethod(PerRecordMethod):
    """A ViT with sine-cosine positions trained by AdamW, with everything else that the method trains.

    Attributes:
        patches: patches of an image, N.
    """

    options: PatchOptions

    def __init__(self, options: PatchOptions, side: int) -> None:
        from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding

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
        initialize_2d_sine_cosine_positional_embedding(self.backbone.get_parameter("pos_embed"), has_class_token=False)
        plain_attention(self)

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        return adamw([self], self.options.learning_rate, self.options.weight_decay)

    def draw(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw a view of the joint batch and the orders of its patches, and keep the rows of this worker.

        Args:
            images: uint8 [B, H, W, 3], the joint batch.
            generator: as for `Method.loss`.

        Returns:
            Pixels [b, H, W, 3], and int64 [b, N].
        """
        count = len(images)
        views = augment(images, self.augmentation, generator, images.shape[1], self.workers.rows(count))
        return views, self.workers.mine(self.orders(count, generator))

    def orders(self, count: int, generator: Generator) -> Tensor:
        """For each of `count` images, int64 [B, N]: its patches in random order."""
        return patch_orders(count, self.patches, generator)


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
    """A random order of the patches for each image, int64 [B, N]; where some are masked, the first are seen."""
    return torch.rand(images, patches, generator=generator, device=generator.device).argsort(dim=1)


def pixel_targets(patches: Tensor) -> Tensor:
    """Pixels of patches [..., P], each patch less its mean and over its deviation (MAE, Sec. 3).

    The deviation divides by P - 1, as the published code's does. A layer norm's divides by P; torch's kernel for it is
    several times as fast on a CPU as that of `torch.var`.
    """
    pixels = patches.shape[-1]
    biased = (pixels - 1) / pixels
    return layer_norm(patches, (pixels,), eps=_SMALLEST_VARIANCE * biased) * math.sqrt(biased)
