"""DP-SGD: bound and blur what any one record can change of the weights."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.privacy import Privacy
from latentprint.trainer.recipes import RECIPES
from latentprint.trainer.recipes.base import Recipe

_NORM = "norm"
DECLARATION = "held_constant"
_REASON = "mixes_records"


@dataclass(frozen=True)
class DpSgd(Privacy):
    """Train with clipped gradients of single records and noise; options as for `Privacy`.

    A recipe with batch norm is built with group norm instead.
    """

    def apply(self, plan: Plan) -> Plan:
        """See `Defence.apply`."""
        if not declares_single_records(type(plan.options)):
            able = ", ".join(sorted(entry.name for entry in RECIPES if declares_single_records(entry.value)))
            raise UsageError(
                f"defence 'dp-sgd': the recipe {plan.recipe!r} has no loss of single records: {_reason(plan.options)}. "
                "No gradient belongs to one record then, and clipping bounds nobody's influence. Recipes that can "
                f"have it: {able}."
            )
        options = cast(Any, plan.options)
        if _NORM in {field.name for field in fields(options)}:
            options = replace(options, **{_NORM: "group"})
        return replace(plan, options=options, privacy=self)


def declares_single_records(recipe: type) -> bool:
    """Whether a recipe's options declare, themselves and not by inheritance, that its loss is one of single records."""
    return DECLARATION in vars(recipe)


def _reason(options: Recipe) -> str:
    return str(getattr(options, _REASON, "it does not declare one"))
