"""Recipes that extend another, as defences turn it into them."""

from dataclasses import fields, replace
from typing import Any, cast

from latentprint.core.errors import UsageError
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.recipes import RECIPES


def variant(plan: Plan, defence: str, recipe: str, of: str, **changes: Any) -> Plan:
    """A plan for `recipe`, which extends the recipe `of`, with the options of a plan for that one and `changes`.

    Raises:
        UsageError: a plan for another recipe.
    """
    if plan.recipe != of:
        raise UsageError(
            f"defence {defence!r}: {recipe!r} is a variant of {of!r}; the recipe {plan.recipe!r} has none."
        )
    kept = {field.name: getattr(plan.options, field.name) for field in fields(cast(Any, plan.options))}
    return replace(plan, recipe=recipe, options=RECIPES.get(recipe)(**{**kept, **changes}), of_recipe=plan.recipe)
