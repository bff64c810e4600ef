"""Strong augmentation: train on views that say less of the pixels that an image really has."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.defences.variants import variant

_NAME, _FROM = "strong-augmentation", "moco"
_RECIPES = {"mixup": "mixco", "adversarial": "rocl"}
_STRENGTHS = {"rotation": ("rotation", 180.0), "mixup": ("mix_weight", 1.0), "adversarial": ("radius", 8.0)}


@dataclass(frozen=True)
class StrongAugmentation:
    """Rotate randomly, or turn MoCo into MixCo or RoCL with the options that they share.

    Attributes:
        kind: "rotation", "mixup" or "adversarial".
        strength: largest rotation to either side in degrees (180), weight of the mixtures' loss (1), or largest change
            of a pixel in grey levels of 255 (8); None takes what stands in brackets.
    """

    kind: Literal["rotation", "mixup", "adversarial"] = "rotation"
    strength: float | None = None

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        option, usual = _STRENGTHS[self.kind]
        strength = usual if self.strength is None else self.strength
        if strength <= 0:
            raise UsageError(f"defence 'strong-augmentation': strength must be above 0, not {strength}.")
        stronger = plan if self.kind == "rotation" else variant(plan, _NAME, _RECIPES[self.kind], _FROM)
        options = cast(Any, stronger.options)
        if option not in {f.name for f in fields(options)}:
            raise UsageError(f"defence 'strong-augmentation': the recipe {plan.recipe!r} has no random rotation.")
        if self.kind == "rotation" and not getattr(options, option) < strength:
            raise UsageError(
                f"defence 'strong-augmentation': {strength} degrees are no more than the rotation that {plan.recipe!r} "
                f"already has, {getattr(options, option)}."
            )
        return replace(stronger, options=replace(options, **{option: strength}))
