"""Train a model that is asked and then forgotten: no bundle, no checkpoint, no accuracies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentprint.core.datasets.base import Dataset, DatasetSpec, Ids
from latentprint.core.encoders import Encoder
from latentprint.core.splits import KNOWN, VALIDATION, Split
from latentprint.trainer.checkpoint import Position
from latentprint.trainer.device import Precision, resolve_autocast, resolve_device
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.job import new_loop
from latentprint.trainer.plan import DefenceSpec, make_plan
from latentprint.trainer.recipes.base import normalisation
from latentprint.trainer.setup import Setup
from latentprint.trainer.workers import ALONE


def train_encoder(
    recipe: str,
    options: Mapping[str, Any],
    dataset: Dataset,
    members: Ids,
    *,
    epochs: int,
    seed: int = 0,
    defences: Sequence[DefenceSpec] = (),
    validation: Ids | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Encoder:
    """Train `recipe` on `members` (int64 [M]) of an opened data set, as `train` does, and return the encoder.

    Args:
        recipe: registered name.
        options: mapped strictly onto the recipe's dataclass.
        dataset: where the members come from.
        members: what it is trained on.
        epochs: length of the schedule.
        seed: of initialisation, order and augmentation.
        defences: applied in order.
        validation: held-out samples for a defence that learns from them.
        device: as for `train`.
        precision: as for `train`.

    Raises:
        UsageError: as `train`.
    """
    further = {} if validation is None else {VALIDATION: validation}
    everyone = np.ones(len(members), dtype=bool)
    split = Split(members, everyone, np.full(len(members), KNOWN), dataset.digest, seed, further=further)
    place = resolve_device(device)
    setup = Setup(
        make_plan(recipe, options, epochs, defences),
        DatasetSpec(dataset.name),
        dataset,
        split,
        seed,
        defences,
        place,
        resolve_autocast(precision, place),
    )
    loop = new_loop(setup, Exchange(ALONE, lambda: False), lambda method, optimiser: Position())
    loop.run(lambda: None, lambda result: None)
    return Encoder(loop.method.published(), loop.method.outputs, *normalisation(dataset.sample_shape)).to(place)
