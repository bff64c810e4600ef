"""What is served: a bundle or a timm model, as an encoder with what clients may know of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentprint.core.bundles import open_bundle, read_config
from latentprint.core.encoders import Encoder, vector_features
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.samples import Size, height_width
from latentprint.core.text import printable

_NOT_IN_NAMES = re.compile(r"[/\s]+")


@dataclass(frozen=True)
class Victim:
    """A model ready to be served.

    Attributes:
        name: the model name that clients ask for.
        encoder: answers the public outputs.
        architecture: timm's name of it.
        image_size: of the images it was made for, pixels: the side of square ones, or (height, width); None where it
            takes vectors.
        fixed_size: it takes samples of no other size.
        weights_digest: SHA-256 (hex) of its weights.
        model_args: keyword arguments that the architecture was made with.
    """

    name: str
    encoder: Encoder
    architecture: str
    image_size: Size | None
    fixed_size: bool
    weights_digest: str
    model_args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of the samples that it was made for: (height, width, 3) of images, (features,) of vectors."""
        if self.encoder.features is not None:
            return (self.encoder.features,)
        if self.image_size is None:
            raise UsageError(f"The model {self.name!r} takes images, of which no size is known.")
        return (*height_width(self.image_size), 3)


def from_bundle(folder: Path, name: str | None, outputs: Sequence[str]) -> Victim:
    """Open a bundle; its card says which outputs are public, `outputs` (where not empty) restricts them.

    Raises:
        DataError: see `latentprint.core.bundles.open_bundle`.
        UsageError: an output that the bundle does not make public.
    """
    encoder, card = open_bundle(folder)
    config = read_config(folder)
    return Victim(
        name or _folder_name(folder),
        restricted(encoder, outputs),
        config["architecture"],
        card.image_size,
        has_fixed_size(encoder.model),
        card.weights_digest,
        config.get("model_args", {}),
    )


def check_model_name(name: str) -> None:
    """Raise `UsageError` for a name that no endpoint's address, grpc://HOST:PORT/NAME, can end with."""
    if name in {"", ".", ".."} or _NOT_IN_NAMES.search(name) or not name.isprintable():
        raise UsageError(
            f"--name {printable(name)!r} cannot end an endpoint's address: give a name without '/' and without spaces."
        )


def _folder_name(folder: Path) -> str:
    """A name for the model in `folder` that an endpoint's address can end with."""
    shown = "".join(c if c.isprintable() else "-" for c in folder.resolve().name)
    return _NOT_IN_NAMES.sub("-", shown) or "model"


def restricted(encoder: Encoder, outputs: Sequence[str]) -> Encoder:
    """`encoder` with only `outputs` public, in their order; all of its own where `outputs` is empty."""
    for name in outputs:
        if name not in encoder.outputs:
            raise unknown_name("output", name, encoder.outputs)
    encoder.outputs = tuple(dict.fromkeys(outputs)) or encoder.outputs
    return encoder


def has_fixed_size(model: Any) -> bool:
    """Whether a timm model takes samples of its own size only (a ViT without dynamic_img_size, say, or vectors)."""
    if vector_features(model) is not None:
        return True
    return bool(model.pretrained_cfg.get("fixed_input_size")) and not getattr(model, "dynamic_img_size", False)
