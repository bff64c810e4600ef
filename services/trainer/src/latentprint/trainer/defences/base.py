"""What a training-time defence is: a pure function from one plan to another."""

from dataclasses import dataclass
from typing import Protocol

from latentprint.trainer.privacy import Privacy
from latentprint.trainer.recipes.base import Recipe


@dataclass(frozen=True)
class Plan:
    """What a training will be.

    Attributes:
        recipe: registered name.
        options: the recipe's options.
        epochs: length of the schedule.
        stop_after: epochs that are really trained, at most `epochs`.
        privacy: what differentially private training is asked for, None for none.
        of_recipe: the recipe before a defence turned it into another, None where none did.
    """

    recipe: str
    options: Recipe
    epochs: int
    stop_after: int
    privacy: Privacy | None = None
    of_recipe: str | None = None


class Defence(Protocol):
    """Options of one defence: a frozen dataclass that changes a plan."""

    def apply(self, plan: Plan) -> Plan:
        """The defended plan. Raises `UsageError` with the reason where the recipe cannot have this defence."""
        ...
