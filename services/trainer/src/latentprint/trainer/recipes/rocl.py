"""RoCL: MoCo that also recognises an image under the small change of pixels that confuses it most."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.answering import answering
from latentprint.trainer.recipes.base import backbone_input
from latentprint.trainer.recipes.moco import MomentumContrast, MomentumContrastMethod

_BRIGHTEST = 255.0


@dataclass(frozen=True)
class AdversarialContrast(MomentumContrast):
    """Options of `rocl`, beside those of `moco`.

    Attributes:
        radius: largest change of a pixel, grey levels of 255.
        attack_steps: steps of projected gradient ascent.
        attack_step_size: length of a step, fraction of the radius.
        adversarial_weight: of the attacked view's loss beside MoCo's own.
    """

    radius: float = 8.0
    attack_steps: int = 3
    attack_step_size: float = 0.5
    adversarial_weight: float = 1.0

    held_constant: ClassVar[str] = MomentumContrast.held_constant

    def build(self, size: Size, classes: int) -> "AdversarialContrastMethod":
        """See `Recipe.build`; needs no classes."""
        super().build(size, classes)
        if self.radius <= 0 or self.attack_steps < 1 or self.attack_step_size <= 0 or self.adversarial_weight < 0:
            raise UsageError(
                "recipe 'rocl': radius and attack_step_size must be above 0, attack_steps at least 1 and "
                "adversarial_weight not negative."
            )
        return AdversarialContrastMethod(self)


class AdversarialContrastMethod(MomentumContrastMethod):
    """MoCo with instance-wise attacks (RoCL, Kim et al., NeurIPS 2020, https://arxiv.org/abs/2006.07589).

    Publishes the query encoder.
    """

    options: AdversarialContrast

    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """As for MoCo; each view comes twice, as it was drawn and under attack, [b, 2, 3, S, S]."""
        prepared = super().prepare(images, labels, generator, progress)
        view = prepared["view"]
        start = torch.rand(len(images), *view.shape[1:], generator=generator, device=generator.device)
        attacked = self.attacked(start=2 * self.workers.mine(start) - 1, **prepared)
        return prepared | {"view": torch.stack([view, attacked], dim=1)}

    def forward(self, view: Tensor, keys: Tensor, remembered: Tensor) -> Tensor:
        """InfoNCE of each record's drawn view, and of its attacked one by its weight, float [b].

        Args:
            view: backbone inputs [b, 2, 3, S, S].
            keys: as for MoCo; both views have the same positive.
            remembered: as for MoCo.
        """
        drawn, attacked = (super(AdversarialContrastMethod, self).forward(v, keys, remembered) for v in view.unbind(1))
        return drawn + self.options.adversarial_weight * attacked

    @torch.enable_grad()
    def attacked(self, view: Tensor, keys: Tensor, remembered: Tensor, start: Tensor) -> Tensor:
        """Views within the radius that miss their keys: projected ascent along the sign of InfoNCE's gradient (Eq. 4).

        Args:
            view: backbone input [b, 3, S, S].
            keys: as for `forward`.
            remembered: as for `forward`.
            start: float [b, 3, S, S] in [-1, 1], where the ascent starts, in radii.

        Returns:
            Backbone input [b, 3, S, S] of possible pixels, a constant.
        """
        options = self.options
        darkest, brightest = (backbone_input(view.new_full((1, 1, 1, 3), level)) for level in (0.0, _BRIGHTEST))
        radius = options.radius / _BRIGHTEST * (brightest - darkest)  # [1, 3, 1, 1]
        lowest, highest = (view - radius).maximum(darkest), (view + radius).minimum(brightest)
        moved = (view + radius * start).clamp(lowest, highest)
        with answering(self.backbone, self.head):
            for _ in range(options.attack_steps):
                moved.requires_grad_()
                losses = super().forward(moved, keys, remembered)
                (slope,) = torch.autograd.grad(losses.sum(), moved)
                moved = moved.detach() + options.attack_step_size * radius * slope.sign()
                moved = moved.clamp(lowest, highest)
        return moved
