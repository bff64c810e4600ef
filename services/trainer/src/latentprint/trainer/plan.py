"""What a training will be, after its defences: the recipe's options and how far the schedule is followed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import Dataset
from latentprint.core.errors import UsageError
from latentprint.core.splits import Split
from latentprint.trainer.defences import DEFENCES
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.recipes import RECIPES

# What a training computes with: one worker of several does what one alone does, on its rows. `train` only sends these
# on their way.
_COMPUTING = (
    "latentprint.trainer.job:run_first",
    "latentprint.trainer.job:run_other",
    "latentprint.trainer.in_memory:train_encoder",
    "latentprint.trainer.training:untrained",
)


@dataclass(frozen=True)
class DefenceSpec:
    """A defence by name and options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def make_plan(recipe: str, options: Mapping[str, Any], epochs: int, defences: Sequence[DefenceSpec] = ()) -> Plan:
    """Map `options` onto the recipe's dataclass and apply `defences` in order.

    Raises:
        UsageError: an unknown recipe, defence or key (with the nearest known); a value out of range; a defence that
            the recipe cannot have, with the reason.
    """
    if epochs < 1:
        raise UsageError(f"epochs must be at least 1, not {epochs}.")
    where = f"recipe {recipe!r}"
    built = from_mapping(RECIPES.get(recipe), options, where)
    if built.batch_size < 2 or built.learning_rate <= 0:
        raise UsageError(f"{where}: batch_size must be at least 2 and learning_rate above 0.")
    plan = Plan(recipe, built, epochs, epochs)
    for spec in defences:
        defence = from_mapping(DEFENCES.get(spec.name), spec.options, f"defence {spec.name!r}")
        plan = defence.apply(plan)
    return plan


def check_labels(plan: Plan, dataset: Dataset, split: Split) -> None:
    """Raise `UsageError` where the samples lack the attribute that the recipe names, or all show the same of it."""
    from latentprint.trainer.members import learnt_labels
    from latentprint.trainer.recipes.base import label_of

    learnt_labels(dataset, split, label_of(plan.options))


def training_code(plan: Plan, defences: Sequence[DefenceSpec] = ()) -> str:
    """Digest of the code that weights depend on: the training's, the recipe's before and after `defences`, and theirs.

    Recipes and defences are chosen from registries by name, so that following the training's code does not find them.
    """
    recipes = {type(plan.options), RECIPES.get(plan.of_recipe or plan.recipe)}
    return code_digest(*recipes, *(DEFENCES.get(spec.name) for spec in defences), *_COMPUTING)


def describe(defences: Sequence[DefenceSpec]) -> list[dict[str, Any]]:
    """Defences as plain mappings, for a card."""
    return [asdict(spec) for spec in defences]
