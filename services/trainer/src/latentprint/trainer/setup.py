"""Everything that determines a victim's weights, together: what is hashed, and what its card says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast

import torch

from latentprint.core.bundles import BundleCard
from latentprint.core.datasets.base import Dataset, DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.errors import UsageError
from latentprint.core.samples import Size, is_vector, size_of
from latentprint.core.splits import Split
from latentprint.core.versions import versions
from latentprint.trainer.defences.base import Plan
from latentprint.trainer.defences.dp_sgd import DECLARATION
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.loop import LoopSettings
from latentprint.trainer.members import learnt_labels, steps_per_epoch
from latentprint.trainer.plan import DefenceSpec, describe, training_code
from latentprint.trainer.privacy import Budget
from latentprint.trainer.recipes.base import IdentityRecipe, Method, Recipe, VectorRecipe, label_of, normalisation
from latentprint.trainer.schedule import Scheduled, WarmupCosine
from latentprint.trainer.streams import seeded_initialisation
from latentprint.trainer.updates import JointUpdate, Update

_CPU = torch.device("cpu")
_LIBRARIES = ("torch", "timm", "lightly", "numpy", "latentprint-core", "latentprint-trainer")


@dataclass(frozen=True)
class Setup:
    """A training before it starts.

    Attributes:
        plan: recipe, options and epochs after the defences.
        spec, dataset: the data set, and it opened.
        split: who is a member.
        seed: of every draw.
        defences: as given, for the card.
        device: where it trains.
        autocast: dtype of the forward pass, None for full precision.
    """

    plan: Plan
    spec: DatasetSpec
    dataset: Dataset
    split: Split
    seed: int
    defences: Sequence[DefenceSpec] = ()
    device: torch.device = _CPU
    autocast: torch.dtype | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The recipe's options, defaults included, as plain values."""
        return asdict(cast(Any, self.plan.options))

    @cached_property
    def budget(self) -> Budget | None:
        """What a differentially private training may spend; None where it is not private."""
        if self.plan.privacy is None:
            return None
        members = len(self.split.trained_ids)
        steps = steps_per_epoch(members, self.plan.options.batch_size)
        return self.plan.privacy.budget(members, steps, self.plan.stop_after)

    @property
    def facts(self) -> dict[str, Any]:
        """What the card's training summary says before anything was trained."""
        private = {}
        if self.budget is not None:
            private["privacy"] = self.budget.facts(getattr(type(self.plan.options), DECLARATION))
        return {
            "epochs": self.plan.epochs,
            "stopped_after": self.plan.stop_after,
            "seed": self.seed,
            "members": len(self.split.trained_ids),
            "defences": describe(self.defences),
            "device": self.device.type,
            "precision": "fp32" if self.autocast is None else "bf16",
            **private,
        }

    def identity(self, kind: str) -> str:
        """Digest of all that determines the weights of a "trained" or an "untrained" encoder."""
        parts = {
            "kind": kind,
            "recipe": self.plan.recipe,
            "options": self.options,
            "dataset": self.dataset.digest,
            "split": self.split.digest,
            "code": training_code(self.plan, self.defences),
            **self.facts,
        }
        return digest_json(parts)

    def new_method(self) -> Method:
        """The method with its initial weights, on the device.

        Raises:
            UsageError: samples or labels that do not fit the recipe or its options.
        """
        options, size = self._fitted()
        _, classes = learnt_labels(self.dataset, self.split, label_of(options))
        with seeded_initialisation(self.seed):
            return options.build(size, classes).to(self.device)

    def _fitted(self) -> tuple[Recipe, Size]:
        """The options as the data set's samples need them, and the size of its images (0: vectors)."""
        shape = self.dataset.sample_shape
        if is_vector(shape):
            if not isinstance(self.plan.options, VectorRecipe):
                raise UsageError(
                    f"The recipe {self.plan.recipe!r} trains on images, and {self.dataset.name!r} holds vectors: take "
                    "the recipe 'supervised'."
                )
            return self.plan.options.for_vectors(shape[0]), 0
        return self.plan.options, size_of(*shape[:2])

    def check_workers(self, workers: int) -> None:
        """Raise `UsageError` for fewer workers than one, or for more than there are images in a step's batch."""
        members = len(self.split.trained_ids)
        smallest = members // steps_per_epoch(members, self.plan.options.batch_size)
        if not 1 <= workers <= max(1, smallest):
            raise UsageError(
                f"workers must be at least 1 and at most {smallest}, the images of the smallest batch, not {workers}."
            )

    def new_update(self, method: Method, exchange: Exchange) -> Update:
        """The kind of step that the plan asks for, with a fresh optimiser.

        Raises:
            UsageError: a private training of a method that mixes records.
        """
        if self.budget is None or self.plan.privacy is None:
            return JointUpdate(method, exchange, self.autocast)
        from latentprint.trainer.private_update import PrivateUpdate, require_per_record

        single = require_per_record(method, self.plan.recipe)
        return PrivateUpdate(single, exchange, self.autocast, self.budget, self.plan.privacy.records_at_once)

    def spent(self, steps: int) -> dict[str, float]:
        """`epsilon` after `steps` steps of a private training; nothing of another."""
        return {} if self.budget is None else {"epsilon": self.budget.epsilon(steps)}

    def loop_settings(self) -> LoopSettings:
        """What the loop needs of all this."""
        options = self.plan.options
        return LoopSettings(
            epochs=self.plan.epochs,
            stop_after=self.plan.stop_after,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            schedule=options.rates if isinstance(options, Scheduled) else WarmupCosine(options.warmup),
            seed=self.seed,
            poisson=self.budget is not None,
            images_of_each=options.images_of_each if isinstance(options, IdentityRecipe) else 0,
        )

    def card(self, recipe: str, outputs: tuple[str, ...], training: Mapping[str, Any]) -> BundleCard:
        """The card of a bundle from this setup, named after `recipe`."""
        shape = self.dataset.sample_shape
        mean, std = normalisation(shape)
        return BundleCard(
            recipe=recipe,
            outputs=outputs,
            image_size=None if is_vector(shape) else size_of(*shape[:2]),
            mean=mean,
            std=std,
            options=self.options,
            dataset={"name": self.spec.name, "options": dict(self.spec.options)},
            dataset_digest=self.dataset.digest,
            split_digest=self.split.digest,
            training=dict(training),
            versions=versions(*_LIBRARIES),
            features=shape[0] if is_vector(shape) else None,
        )
