"""A bundle as MLflow shows it: a description in words, and a version of a registered model with its facts."""

import re
from pathlib import Path

from latentprint.core.bundles import BundleCard
from latentprint.core.tracking.journal import KEY_TAG
from latentprint.core.tracking.runs import Run

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_PERCENT = 100


def log_model(run: Run, card: BundleCard, bundle: Path, name: str) -> None:
    """Describe `run`, which made `bundle`, and make that the newest version of the registered model `name`.

    Once for each weights: the same bundle is not another version.
    """
    sentence = model_description(card)
    run.describe(sentence)
    run.register_model(bundle, model_name(name), model_tags(card), sentence)


def model_name(text: str) -> str:
    """`text` as a registered model may be called, and an address end: without spaces and slashes."""
    return _NOT_IN_NAMES.sub("-", text).strip("-") or "model"


def model_tags(card: BundleCard) -> dict[str, str]:
    """What a version carries: recipe, what it was trained on, and how private that was (epsilon "inf": not at all)."""
    privacy = card.training.get("privacy", {})
    tags = {
        KEY_TAG: card.weights_digest,
        "recipe": card.recipe,
        "dataset": str(card.dataset.get("name", "")),
        "dataset_digest": card.dataset_digest,
        "split_digest": card.split_digest,
        "weights_digest": card.weights_digest,
        "epsilon": f"{card.training.get('epsilon', float('inf')):g}",
    }
    return tags if not privacy else tags | {"delta": f"{privacy['delta']:g}"}


def model_description(card: BundleCard) -> str:
    """One sentence on what a model is: its recipe, what it was trained on, how long, and what it is worth."""
    training = card.training
    length = f", {training['stopped_after']} epochs" if "stopped_after" in training else ""
    members = f"{training['members']} members of " if "members" in training else ""
    dataset = f" on {members}{card.dataset['name']}" if card.dataset.get("name") else ""
    private = f", epsilon {training['epsilon']:.3g}" if "epsilon" in training else ""
    knn = f"; k-NN accuracy {_PERCENT * training['knn_accuracy']:.1f} %" if "knn_accuracy" in training else ""
    return f"{card.recipe}{length}{dataset}{private}{knn}."
