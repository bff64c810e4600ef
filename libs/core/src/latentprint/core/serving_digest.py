"""What an endpoint's answers depend on, in one digest that servers publish and clients take for its identity."""

from collections.abc import Mapping
from typing import Any

from latentprint.core.channels import Channels
from latentprint.core.code_digest import code_digest
from latentprint.core.digests import digest_json


def serving_digest(
    *,
    weights_digest: str,
    architecture: str,
    model_args: Mapping[str, Any],
    sample_shape: tuple[int, ...],
    channels: tuple[Channels, Channels],
    options: Mapping[str, Any],
) -> str:
    """SHA-256 (hex) of all that answers depend on: two servings that answer alike share it, wherever they are.

    The same weights put together, normalised, rounded or defended otherwise answer otherwise, and so may other code.

    Args:
        weights_digest: SHA-256 of the weights.
        architecture: timm's name of it.
        model_args: keyword arguments that it was made with.
        sample_shape: what the model is made for: (H, W, 3) or (F,).
        channels: mean and standard deviation that images are normalised with.
        options: what the server does besides, where that is not what it does by default.
    """
    return digest_json(
        {
            "weights": weights_digest,
            "architecture": architecture,
            "model_args": dict(model_args),
            "sample_shape": list(sample_shape),
            "channels": [list(levels) for levels in channels],
            "options": dict(options),
            "code": code_digest("latentprint.core.encoders:Encoder"),
        }
    )
