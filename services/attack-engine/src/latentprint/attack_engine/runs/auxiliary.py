"""The adversary's own samples in a live audit, and the shadow model that it trains on some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latentprint.attack_engine.asking import EndpointCard
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.models.choice import VictimChoice
from latentprint.attack_engine.models.job import SHADOW
from latentprint.attack_engine.runs.controls import model_arguments
from latentprint.core.datasets import Dataset, DatasetSpec, Ids
from latentprint.core.datasets.folders import ROOT
from latentprint.core.errors import DataError, UsageError
from latentprint.core.outputs import POSTERIOR
from latentprint.core.partitions import stratified_order
from latentprint.core.splits import COIN, DISTILLATION, KNOWN, Split
from latentprint.core.text import printable
from latentprint.trainer import make_plan

SHADOW_SHARE = 0.25  # of the adversary's images for each side of its shadow model; the rest is distilled with
_FEWEST = 20
_DRAW = 2  # tells its stream apart from the other draws of a seed
_RECIPE = "supervised"
_HINT = (
    "give it the adversary's own samples, which the endpoint was not trained on: --auxiliary DIR, a folder of images, "
    "or a split's file with shadow members, non-members and distillation samples."
)


@dataclass(frozen=True)
class ShadowOptions:
    """How the adversary's shadow model is trained.

    Attributes:
        recipe: a registered recipe; "" for what the endpoint's card says: a classifier of its architecture.
        epochs: of its training.
        options: of the recipe.
    """

    recipe: str = ""
    epochs: int = 60
    options: Mapping[str, Any] = field(default_factory=dict)


def require_auxiliary(attacks: tuple[Attack, ...], *, given: bool) -> None:
    """Raise `UsageError` for an attack that needs samples of the adversary's own where none are `given`."""
    for attack in attacks:
        if not given and (attack.reading.needs_shadow or attack.reading.imitates):
            raise UsageError(f"{attack.name} imitates the endpoint or trains models like it: {_HINT}")


def auxiliary_of_folder(folder: Path, audited: DatasetSpec, *, seed: int, shadowed: bool) -> tuple[DatasetSpec, Split]:
    """The adversary's images in `folder`, brought to the size of the audited ones, and what each is for.

    A quarter are a shadow model's members, a quarter its non-members, half are distilled with, each with the classes in
    their own proportions; all are distilled with where no shadow model is `shadowed`.

    Raises:
        UsageError: the audited samples are not two folders of images.
        DataError: too few images, other class folders than the audited ones, an image that is audited, too.
    """
    if audited.name != "folders":
        raise UsageError("--auxiliary DIR goes with --members and --non-members; with --split, name a split's file.")
    paths = (*audited.options["paths"], str(folder.resolve()))
    spec = DatasetSpec("folders", {**audited.options, "paths": paths})  # one data set, so that classes are the same
    dataset = spec.open()
    ids = np.flatnonzero(dataset.labels[ROOT] == len(paths) - 1)
    if len(ids) < _FEWEST:
        raise DataError(f"{printable(folder)} has {len(ids)} images; an adversary needs at least {_FEWEST}.")
    _check_classes(dataset, folder)
    return spec, _drawn(dataset, ids, spec, seed, SHADOW_SHARE if shadowed else 0.0)


def shadow_choice(card: EndpointCard, options: ShadowOptions) -> VictimChoice:
    """The training of a shadow model of the endpoint with this card.

    Raises:
        UsageError: the card does not say what to train, or no recipe makes that, or the options do not fit.
    """
    name = f"{SHADOW} of {printable(card.model or card.url)}"
    if options.recipe:
        make_plan(options.recipe, options.options, options.epochs)
        return VictimChoice(name, options.recipe, "", options.epochs, options.options)
    chosen = _classifier(card) | dict(options.options)
    try:
        make_plan(_RECIPE, chosen, options.epochs)
    except UsageError as error:
        raise UsageError(
            f"What shadow model to train for {card.url} cannot be known from its card (architecture "
            f"{printable(card.architecture or 'not published')}; {error}): name a recipe with --shadow-recipe."
        ) from None
    return VictimChoice(name, _RECIPE, "", options.epochs, chosen)


def knows_shadow(card: EndpointCard, options: ShadowOptions) -> bool:
    """Whether a shadow model can be trained: a recipe is named, or the endpoint is a classifier."""
    return bool(options.recipe) or POSTERIOR in card.outputs


def architecture_on(card: EndpointCard) -> dict[str, Any]:
    """A recipe's options for the architecture on the card, and for its size."""
    from latentprint.core import architectures  # brings timm, which most audits do without

    known = architectures.OPTIONS.get(card.architecture, ())
    size = {name: value for name, value in model_arguments(card).items() if name in known}
    return {"architecture": card.architecture, "architecture_options": size}


def _classifier(card: EndpointCard) -> dict[str, Any]:
    """Options of the supervised recipe for the architecture on the card."""
    plain = {} if card.features is None else {"crop_scale_from": 1.0, "flip": 0.0}
    return {**architecture_on(card), **plain}


def _check_classes(dataset: Dataset, folder: Path) -> None:
    files = dataset.files
    if files is None:
        return
    *audited, own = (set(names) for names in files.classes)
    if any(names and names != own for names in audited):
        raise DataError(
            f"{printable(folder)} has other class folders than the audited images: an adversary's models need the same "
            "classes. Sort its images into folders of the same names."
        )


def _drawn(dataset: Dataset, ids: Ids, source: DatasetSpec, seed: int, share: float) -> Split:
    """`ids` cut into a shadow model's members and non-members, `share` of them each, and distillation samples."""
    rng = np.random.default_rng([seed, _DRAW])
    order = stratified_order(dataset, rng) if "class" in dataset.labels else rng.permutation(len(dataset))
    order = order[np.isin(order, ids)]
    side = round(share * len(order))
    shadow, rest = np.sort(order[: 2 * side]), np.sort(order[2 * side :])
    member = np.isin(shadow, order[:side])
    role = np.full(len(shadow), KNOWN)
    return Split(shadow, member, role, dataset.digest, seed, source, {DISTILLATION: rest}, COIN)
