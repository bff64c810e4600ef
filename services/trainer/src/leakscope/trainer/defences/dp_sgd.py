"""DP-SGD: bound and blur what any one record can change of the weights."""

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from leakscope.core.errors import UsageError
from leakscope.trainer.defences.base import Plan
from leakscope.trainer.privacy import Privacy
from leakscope.trainer.recipes import RECIPES

_NORM = "norm"
DECLARATION = "held_constant"


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
                f"defence 'dp-sgd': the recipe {plan.recipe!r} declares no loss of single records: where a loss "
                "compares or mixes records, no gradient belongs to one record, and clipping bounds nobody's "
                f"influence. Recipes that can have it: {able}."
            )
        options = cast(Any, plan.options)
        if _NORM in {field.name for field in fields(options)}:
            options = replace(options, **{_NORM: "group"})
        return replace(plan, options=options, privacy=self)


def declares_single_records(recipe: type) -> bool:
    """Whether a recipe's options declare, themselves and not by inheritance, that its loss is one of single records."""
    return DECLARATION in vars(recipe)
