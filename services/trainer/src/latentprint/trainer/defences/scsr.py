"""SCSR: shrink the range of the random crop's scale from below."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan

_OPTION = "crop_scale_from"


@dataclass(frozen=True)
class ShrinkCropScaleRange:
    """Raise the lower bound of the training crop's area fraction.

    Attributes:
        lower: the new lower bound; the published search goes over 0.3, 0.4 and 0.5.
    """

    lower: float = 0.4

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        options = cast(Any, plan.options)
        if _OPTION not in {f.name for f in fields(options)}:
            raise UsageError(f"defence 'scsr': the recipe {plan.recipe!r} has no random crop whose scale could shrink.")
        current = getattr(options, _OPTION)
        if not current < self.lower <= 1:
            raise UsageError(
                f"defence 'scsr': lower {self.lower} does not raise the crop scale of {plan.recipe!r}, which starts "
                f"from {current}: set {_OPTION} lower, or choose lower above {current} and at most 1."
            )
        return replace(plan, options=replace(options, **{_OPTION: self.lower}))
