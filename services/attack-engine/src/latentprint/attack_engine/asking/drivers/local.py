"""An endpoint in this process: a victim bundle, asked through the same interface as a remote one."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.bundles import BundleCard, open_bundle, read_config, serving_digest
from latentprint.core.channels import format_channels
from latentprint.core.oip import names
from latentprint.core.samples import Samples, sample_dtype


class LocalDriver:
    """Answers from the encoder of a bundle. Raises `DataError` for a bundle that does not open.

    Args:
        url: the endpoint's address, for messages.
        folder: the bundle.
        threads: PyTorch threads, set for the whole process; None leaves them.
    """

    in_flight = 1
    interruptions = 0

    def __init__(self, url: str, folder: Path, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._encoder, card = open_bundle(folder)
        config = read_config(folder)
        self.card = EndpointCard(
            url=url,
            model=folder.name,
            outputs=dict(self._encoder.shapes(card.sample_shape)),
            image_side=card.image_size,
            weights_digest=serving_digest(folder, card),
            architecture=config["architecture"],
            properties=_properties(config, card),
            max_message_bytes=2**31 - 1,
            bytes_per_value=sample_dtype(card.sample_shape).itemsize,
            idempotent=True,
            features=card.features,
        )

    def read_card(self) -> EndpointCard:
        """The card: the model in this process stays the same."""
        return self.card

    def ask(self, images: Samples, outputs: Sequence[str], request_id: str, resend: Callable[[], None]) -> Answers:
        """Answer one request; nothing here is ever sent again."""
        return self._encoder.answer(images, outputs)

    def close(self) -> None:
        """Nothing to close."""


def _properties(config: Mapping[str, Any], card: BundleCard) -> dict[str, str]:
    """What the encoder server would publish of the bundle, for an untrained twin."""
    properties = {names.MODEL_ARGS: json.dumps(config.get("model_args", {}))}
    if card.features is not None:
        return properties
    return properties | {names.MEAN: format_channels(card.mean), names.STD: format_channels(card.std)}
