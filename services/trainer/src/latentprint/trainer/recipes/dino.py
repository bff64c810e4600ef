"""DINO: a student learns from small crops what a slowly moving teacher says of large ones."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear, normalize
from torch.optim import Optimizer

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.core.views.augmentations import DINO, MOCO_WEAK, Augmentation
from latentprint.trainer.recipes.norms import Norm, vector_norm
from latentprint.trainer.recipes.optimisers import adamw
from latentprint.trainer.recipes.per_record import PerRecordMethod
from latentprint.trainer.recipes.vit import VIT, plain_attention, square_side, vit_arguments
from latentprint.trainer.schedule import cosine_rise

_GLOBAL_VIEWS = 2
_PRESETS = {"standard": DINO, "weak": MOCO_WEAK}


@dataclass(frozen=True)
class SelfDistillation:
    """Options of `dino`.

    Attributes:
        batch_size: images a step.
        learning_rate: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup: fraction of the schedule with a rising learning rate.
        augmentation_strength: "weak" (crop, flip, mild jitter) or "standard" (the paper's).
        crop_scale_from: lower bound of the global crops' area fraction.
        local_scale_from, local_scale_to: area fractions of the local crops.
        local_views: local crops an image, of half the side.
        prototypes: width of the head's output.
        student_temperature, teacher_temperature: of the two softmaxes.
        momentum: of the teacher's moving average at the start; rises to 1.
        center_momentum: of the moving average that the teacher's output is centred by.
        patch_size, embed_dim, depth, heads: the ViT.
        norm: of the head: "batch", or "group", where no image's answer depends on the others even in training.
    """

    batch_size: int = 50
    learning_rate: float = 5e-4
    weight_decay: float = 0.04
    warmup: float = 0.05
    augmentation_strength: Literal["weak", "standard"] = "weak"
    crop_scale_from: float = 0.5
    local_scale_from: float = 0.15
    local_scale_to: float = 0.5
    local_views: int = 4
    prototypes: int = 128
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    momentum: float = 0.98
    center_momentum: float = 0.9
    patch_size: int = 8
    embed_dim: int = 128
    depth: int = 4
    heads: int = 4
    norm: Norm = "batch"

    held_constant: ClassVar[str] = (
        "the centre of the teacher's answers: a moving average over the records of earlier steps, without noise, and "
        "taken as a constant; what it carries of those records into later gradients is not in epsilon"
    )

    @property
    def augmentation(self) -> Augmentation:
        """Each of the two global views."""
        return replace(_PRESETS[self.augmentation_strength], crop_scale=(self.crop_scale_from, 1.0))

    @property
    def local_augmentation(self) -> Augmentation:
        """Each of the local views."""
        return replace(self.augmentation, crop_scale=(self.local_scale_from, self.local_scale_to))

    def build(self, size: Size, classes: int) -> "TeacherStudentMethod":
        """See `Recipe.build`; needs no classes."""
        del classes
        self.check_local_crops(square_side(size))
        return SelfDistillationMethod(self, square_side(size))

    def check_local_crops(self, side: int) -> None:
        """Raise UsageError where local crops of images of `side` pixels do not fit the patches."""
        if self.local_views and (side // 2) % self.patch_size:
            raise UsageError(
                f"Local crops of {side // 2} pixels are no whole number of patches of {self.patch_size}: "
                "set patch_size, or local_views 0."
            )


def distillation(taught: Tensor, learnt: Tensor) -> Tensor:
    """Mean cross-entropy of each record's pairs of a teacher view and another student view (DINO, Eq. 3), float [B].

    Args:
        taught: the teacher's distributions [B, T, K] of the first T views.
        learnt: logarithms of the student's distributions [B, V, K] of all V views.
    """
    pairs = -torch.einsum("btk,bvk->btv", taught, learnt)
    others = 1 - torch.eye(*pairs.shape[1:], device=pairs.device)
    return (pairs * others).sum(dim=(1, 2)) / others.sum()


class PrototypeHead(nn.Module):
    """A multi-layer perceptron, then cosine similarities to prototypes: DINO's head with its last layer normalised.

    Batch norm is the published head's option; few images a step need it to tell near-equal embeddings apart.
    Plain normalised prototypes are the same function as weight-norm hooks, and can be copied.
    """

    def __init__(self, dim: int, prototypes: int, norm: Norm = "batch") -> None:
        super().__init__()
        wide = 2 * dim
        self.layers = nn.Sequential(
            *(nn.Linear(dim, wide), vector_norm(norm, wide), nn.GELU()),
            *(nn.Linear(wide, wide), vector_norm(norm, wide), nn.GELU()),
            nn.Linear(wide, dim),
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, dim))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, embedding: Tensor) -> Tensor:
        """Similarities [B, prototypes] of embeddings [B, D], in [-1, 1]."""
        return linear(normalize(self.layers(embedding), dim=1), normalize(self.prototypes, dim=1))


class TeacherStudentMethod(PerRecordMethod):
    """A ViT with a head, and a teacher that follows both as a moving average; publishes the teacher."""

    centre: Tensor

    def __init__(self, options: SelfDistillation, side: int) -> None:
        from lightly.models.utils import deactivate_requires_grad

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
        self.local_augmentation = options.local_augmentation
        plain_attention(self)
        self.head = PrototypeHead(options.embed_dim, options.prototypes, options.norm)
        self.teacher = deepcopy(self.backbone)
        self.teacher_head = deepcopy(self.head)
        deactivate_requires_grad(self.teacher)
        deactivate_requires_grad(self.teacher_head)
        self.register_buffer("centre", torch.zeros(options.prototypes))

    def optimiser(self) -> Optimizer:
        """See `Method.optimiser`."""
        options = self.options
        return adamw([self.backbone, self.head], options.learning_rate, options.weight_decay, betas=(0.9, 0.999))

    def _views(self, images: Tensor, augmentation: Augmentation, generator: Generator, side: int, count: int) -> Tensor:
        """`count` views of each of this worker's rows, [b, count, 3, side, side]."""
        return torch.stack([self.view(images, augmentation, generator, side) for _ in range(count)], dim=1)

    @staticmethod
    def _similarities(backbone: nn.Module, head: nn.Module, views: Tensor) -> Tensor:
        outputs: Tensor = head(backbone(views.flatten(0, 1)))
        return outputs.float().view(*views.shape[:2], -1)

    def _teach(self, answers: Tensor, centre: Tensor, count: int) -> Tensor:
        """The teacher's distributions, centred and sharpened, from its answers [b, ..., K]; the centre then moves."""
        taught = ((answers - centre) / self.options.teacher_temperature).softmax(dim=-1)
        mean = self.workers.joint(answers.flatten(1, -2).mean(dim=1), count).mean(dim=0)
        centre.lerp_(mean, 1 - self.options.center_momentum)
        return taught

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        from lightly.models.utils import update_momentum

        momentum = cosine_rise(self.options.momentum, 1.0, progress)
        update_momentum(self.backbone, self.teacher, momentum)
        update_momentum(self.head, self.teacher_head, momentum)

    def published(self) -> nn.Module:
        """The teacher, as in the paper."""
        return self.teacher


class SelfDistillationMethod(TeacherStudentMethod):
    """DINO (Caron et al., ICCV 2021, https://arxiv.org/abs/2104.14294); publishes the teacher."""

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """Views of two sizes, and what the teacher says of the large ones; the centre then moves."""
        del labels, progress
        side, options = images.shape[1], self.options
        wide = self._views(images, self.augmentation, generator, side, _GLOBAL_VIEWS)
        with torch.no_grad():
            taught = self._teach(self._similarities(self.teacher, self.teacher_head, wide), self.centre, len(images))
        prepared = {"wide": wide, "taught": taught}
        if options.local_views:
            narrow = self._views(images, self.local_augmentation, generator, side // 2, options.local_views)
            prepared["narrow"] = narrow
        return prepared

    def forward(self, wide: Tensor, taught: Tensor, narrow: Tensor | None = None) -> Tensor:
        """Cross-entropy of every student view with every other teacher view, mean of each record, float [b].

        Args:
            wide: global views [b, 2, 3, S, S].
            taught: the teacher's distribution for each, [b, 2, K].
            narrow: local views [b, V, 3, S / 2, S / 2].
        """
        learnt = self._similarities(self.backbone, self.head, wide)
        if narrow is not None:
            learnt = torch.cat([learnt, self._similarities(self.backbone, self.head, narrow)], dim=1)
        return distillation(taught, (learnt / self.options.student_temperature).log_softmax(dim=-1))
