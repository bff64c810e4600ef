"""Victim bundles: folders that timm opens as `local-dir:`, with a card beside the weights. Never a pickle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentprint.core.config import from_mapping
from latentprint.core.digests import digest_file
from latentprint.core.errors import DataError
from latentprint.core.samples import Size, height_width, is_vector

if TYPE_CHECKING:
    from torch import nn

    from latentprint.core.encoders import Encoder

CARD = "latentprint.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_FILES = frozenset({CARD, CONFIG, WEIGHTS})


@dataclass(frozen=True)
class BundleCard:
    """What latentprint knows of a victim beyond its weights (latentprint.json).

    Attributes:
        recipe: registered recipe name, "untrained", "imported" for weights that were trained elsewhere, or "probe" for
            an encoder with a linear probe.
        options: the recipe's options, as given.
        outputs: public outputs, of "embedding", "feature_map", "posterior".
        image_size: of the training images, pixels: the side of square ones, or (height, width); None for a model of
            vectors.
        mean, std: per-channel normalisation of images scaled to [0, 1]; of vectors, one value or one a feature.
        dataset: {"name": ..., "options": ...} of the training data set.
        dataset_digest, split_digest: what it was trained on.
        training: summary (epochs, seconds, final loss, knn_accuracy, probe_accuracy, ...).
        versions: versions of the libraries that trained it, and the git commit.
        weights_digest: SHA-256 of model.safetensors; filled in by `save_bundle`.
        features: length of the vectors that the model takes; None for a model of images.
    """

    recipe: str
    outputs: tuple[str, ...]
    image_size: Size | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    dataset_digest: str = ""
    split_digest: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    weights_digest: str = ""
    features: int | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of the training images, or (features,) of the vectors."""
        if self.features is not None:
            return (self.features,)
        if self.image_size is None:
            raise DataError("The card of a victim says neither the size of its images nor the length of its vectors.")
        return (*height_width(self.image_size), 3)


def save_bundle(model: "nn.Module", folder: Path, card: BundleCard, model_args: Mapping[str, Any]) -> BundleCard:
    """Write `model` (a timm model made with `model_args`) and its card to `folder`; returns the card as written."""
    from timm.models import save_for_hf  # here and below, not above: whoever reads a card does without timm

    folder.mkdir(parents=True, exist_ok=True)
    shape = card.sample_shape
    preprocessing: dict[str, Any] = {"mean": card.mean, "std": card.std}
    if not is_vector(shape):
        preprocessing["input_size"] = (shape[2], shape[0], shape[1])
    save_for_hf(model, str(folder), model_args=dict(model_args), safe_serialization=True, data_config=preprocessing)
    if is_vector(shape):
        _forget_input_size(folder / CONFIG)
    written = asdict(card) | {"weights_digest": digest_file(folder / WEIGHTS)}
    (folder / CARD).write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return from_mapping(BundleCard, written, str(folder / CARD))


def save_twin(bundle: Path, folder: Path, seed: int) -> BundleCard:
    """Write to `folder` what `bundle` would be with the random weights of `seed`; returns the card as written.

    Raises:
        DataError: see `read_card` and `read_config`.
    """
    import timm
    import torch

    from latentprint.core import architectures

    card, config = read_card(bundle), read_config(bundle)
    architectures.register()
    model_args = config.get("model_args", {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(config["architecture"], **model_args)
    twin = BundleCard("untrained", card.outputs, card.image_size, card.mean, card.std, features=card.features)
    return save_bundle(model, folder, twin, model_args)


def _forget_input_size(config: Path) -> None:
    """Take out the size of images that timm notes of every model; the length of vectors is in `model_args`."""
    content = json.loads(config.read_text(encoding="utf-8"))
    for key in ("input_size", "pool_size"):
        content["pretrained_cfg"].pop(key, None)
    config.write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_card(folder: Path) -> BundleCard:
    """Read a bundle's card after checking that the bundle holds its three files, whole, and nothing else.

    Raises:
        DataError: a missing, foreign, truncated or altered file, by name.
    """
    if not folder.is_dir():
        raise DataError(f"No such bundle: {folder} is not a folder.")
    present = {path.name for path in folder.iterdir()}
    for name in sorted(_FILES - present):
        raise DataError(f"The bundle {folder} lacks {name}: it was not written completely. Train it again.")
    for name in sorted(present - _FILES):
        raise DataError(f"The bundle {folder} holds a foreign file, {name}: only {', '.join(sorted(_FILES))} belong.")
    try:
        content = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / CARD} is not valid JSON: {error}.") from None
    card = from_mapping(BundleCard, content, str(folder / CARD))
    if digest_file(folder / WEIGHTS) != card.weights_digest:
        raise DataError(f"{folder / WEIGHTS} is truncated or altered: its digest is not the one on its card.")
    return card


def read_config(folder: Path) -> dict[str, Any]:
    """A bundle's config.json as timm reads it: the architecture, and as `model_args` what it was made with.

    Raises:
        DataError: it is no JSON object that names an architecture.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / CONFIG} is not valid JSON: {error}.") from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise DataError(f"{folder / CONFIG} names no architecture: the bundle is damaged.")
    return config


def open_bundle(folder: Path, outputs: Sequence[str] | None = None) -> tuple["Encoder", BundleCard]:
    """Open a bundle as an encoder that answers `outputs` (default: all that the card makes public).

    Raises:
        DataError: see `read_card`; also weights that do not fit the architecture, or a card that says other samples.
    """
    import timm
    from safetensors import SafetensorError

    from latentprint.core import architectures
    from latentprint.core.encoders import Encoder
    from latentprint.core.memory_format import channels_last

    card = read_card(folder)
    architectures.register()
    try:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except (RuntimeError, SafetensorError, KeyError, TypeError) as error:
        raise DataError(f"The bundle {folder} does not open: {' '.join(str(error).split())[:300]}") from None
    encoder = Encoder(channels_last(model), outputs or card.outputs, card.mean, card.std)
    if encoder.features != card.features:
        raise DataError(f"The bundle {folder} is damaged: card and weights are of models with other inputs.")
    return encoder, card
