"""iBOT: DINO on whole images, and the same between patches that the student does not see and the teacher does."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer.recipes.dino import SelfDistillation, TeacherStudentMethod, distillation
from latentprint.trainer.recipes.optimisers import adamw
from latentprint.trainer.recipes.vit import square_side

_VIEWS = 2


@dataclass(frozen=True)
class MaskedSelfDistillation(SelfDistillation):
    """Options of `ibot`: those of `dino`, and the masks.

    Attributes:
        flip: probability of a horizontal flip.
        masked_images: fraction of the global views that have masked patches.
        mask_ratio_from, mask_ratio_to: fraction of such a view's patches that are masked, drawn for each view.
        patch_weight: of the patches' loss beside the images'.
    """

    flip: float = 0.5
    masked_images: float = 0.5
    mask_ratio_from: float = 0.1
    mask_ratio_to: float = 0.5
    patch_weight: float = 1.0

    mixes_records: ClassVar[str] = (
        "a fixed share of the whole batch's views is masked, so a record's masks hang on how many others there are"
    )

    @property
    def augmentation(self) -> Augmentation:
        """Each of the two global views."""
        return replace(super().augmentation, flip_probability=self.flip)

    def build(self, size: Size, classes: int) -> "MaskedSelfDistillationMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        if not 0 < self.masked_images <= 1 or not 0 < self.mask_ratio_from <= self.mask_ratio_to <= 1:
            raise UsageError(
                "recipe 'ibot': masked_images must lie in (0, 1], "
                "and mask_ratio_from and mask_ratio_to too, low to high."
            )
        self.check_local_crops(square_side(size))
        return MaskedSelfDistillationMethod(self, square_side(size))


class Masking(nn.Module):
    """Puts one learned token in the place of masked patches' embeddings."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Embeddings [B, N, D], those masked in bool [B, N] replaced."""
        return torch.where(mask.unsqueeze(2), self.token, tokens)


class MaskedSelfDistillationMethod(TeacherStudentMethod):
    """iBOT (Zhou et al., ICLR 2022, https://arxiv.org/abs/2111.07832); publishes the teacher.

    One head serves pooled tokens and patches, as in the paper; the pooled token stands for the class token. Masked
    patches are drawn one by one, where the published mask is made of blocks, and the number of masked views is fixed.
    """

    patch_centre: Tensor

    def __init__(self, options: MaskedSelfDistillation, side: int) -> None:
        super().__init__(options, side)
        self.masks = options
        self.masking = Masking(options.embed_dim)
        self.register_buffer("patch_centre", torch.zeros(options.prototypes))

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        options, trained = self.options, [self.backbone, self.head, self.masking]
        return adamw(trained, options.learning_rate, options.weight_decay, betas=(0.9, 0.999))

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Views and masks, and what the teacher says of the unmasked views and their patches; the centres then move."""
        del labels, progress
        count, side, options = len(images), images.shape[1], self.masks
        wide = self._views(images, self.augmentation, generator, side, _VIEWS)
        patches = (side // options.patch_size) ** 2
        mask = draw_masks(_VIEWS * count, patches, options, generator).view(count, _VIEWS, patches)
        with torch.no_grad():
            pooled, each = self._answers(self.teacher_head, self.tokens(self.teacher, wide))
            prepared = {
                "wide": wide,
                "mask": self.workers.mine(mask),
                "taught": self._teach(pooled, self.centre, count),
                "taught_patches": self._teach(each, self.patch_centre, count),
            }
        if options.local_views:
            prepared["narrow"] = self._views(images, self.local_augmentation, generator, side // 2, options.local_views)
        return prepared

    def forward(
        self, wide: Tensor, mask: Tensor, taught: Tensor, taught_patches: Tensor, narrow: Tensor | None = None
    ) -> Tensor:
        """DINO's loss with masked global views, plus the weighted one of masked patches, of each record, float [b].

        Args:
            wide: global views [b, 2, 3, S, S].
            mask: bool [b, 2, N], the patches that the student does not see.
            taught: the teacher's distribution for each global view, [b, 2, K].
            taught_patches: and for each of its patches, [b, 2, N, K].
            narrow: local views [b, V, 3, S / 2, S / 2], never masked.
        """
        learnt, learnt_patches = self._answers(self.head, self.tokens(self.backbone, wide, mask))
        if narrow is not None:
            learnt = torch.cat([learnt, self._similarities(self.backbone, self.head, narrow)], dim=1)
        temperature = self.options.student_temperature
        images = distillation(taught, (learnt / temperature).log_softmax(dim=-1))
        patches = patch_distillation(taught_patches, (learnt_patches / temperature).log_softmax(dim=-1), mask)
        return images + self.masks.patch_weight * patches

    def tokens(self, vit: nn.Module, views: Tensor, mask: Tensor | None = None) -> Tensor:
        """The ViT's tokens [b, V, N, D] after its last norm.

        Args:
            vit: student or teacher.
            views: normalised, [b, V, 3, S, S].
            mask: bool [b, V, N], patches to hide.
        """
        model: Any = vit
        embedded: Tensor = model.patch_embed(views.flatten(0, 1)).flatten(1, 2)
        if mask is not None:
            embedded = self.masking(embedded, mask.flatten(0, 1))
        encoded: Tensor = model.norm(model.blocks(embedded + model.pos_embed))
        return encoded.view(*views.shape[:2], *encoded.shape[1:])

    @staticmethod
    def _answers(head: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The head's similarities for pooled tokens, [b, V, K], and for each patch, [b, V, N, K]."""
        pooled, each = head(tokens.mean(dim=2).flatten(0, 1)), head(tokens.flatten(0, 2))
        return pooled.float().view(*tokens.shape[:2], -1), each.float().view(*tokens.shape[:3], -1)


def patch_distillation(taught: Tensor, learnt: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of each view's masked patches, mean of its masked patches, then of its views (iBOT, Eq. 2).

    Args:
        taught: the teacher's distributions, float [b, V, N, K].
        learnt: logarithms of the student's, as `taught`.
        mask: bool [b, V, N]; a view without masked patches counts zero.

    Returns:
        float [b].
    """
    errors = -(taught * learnt).sum(dim=-1) * mask
    return (errors.sum(dim=2) / mask.sum(dim=2).clamp(min=1)).mean(dim=1)


def draw_masks(views: int, patches: int, options: MaskedSelfDistillation, generator: Generator) -> Tensor:
    """Masked patches of each view, bool [V, N]: at least one in each chosen view, none in the others."""
    draws = torch.rand(views, patches + 2, generator=generator, device=generator.device)
    chosen = draws[:, 0].argsort().argsort() < max(1, round(options.masked_images * views))
    low, high = options.mask_ratio_from, options.mask_ratio_to
    wanted = (patches * (low + (high - low) * draws[:, 1])).round().clamp(min=1)
    ranks = draws[:, 2:].argsort(dim=1).argsort(dim=1)
    return chosen.unsqueeze(1) & (ranks < wanted.unsqueeze(1))
