"""An endpoint in this process: a victim bundle, asked through the same interface as a remote one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from latentprint.attack_engine.asking.drivers.driver import Transport
from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.channels import format_channels
from latentprint.core.errors import UsageError
from latentprint.core.oip import names
from latentprint.core.samples import Samples, sample_dtype
from latentprint.core.serving_digest import serving_digest

if TYPE_CHECKING:
    from latentprint.core.bundles import BundleCard
    from latentprint.core.encoders import Encoder


class LocalDriver:
    """Answers from the encoder of a bundle; see `Driver`. Opening raises `DataError` for a bundle that does not open.

    PyTorch's threads, where the transport sets them, are set for the whole process.
    """

    form: ClassVar[str] = "local:BUNDLE_DIR"
    in_process: ClassVar[bool] = True
    in_flight = 1
    interruptions = 0

    def __init__(self, url: str, transport: Transport) -> None:
        import torch  # here and not above: every other driver does without it

        from latentprint.core.bundles import open_bundle, read_config

        folder = _folder(url)
        if transport.threads is not None:
            torch.set_num_threads(transport.threads)
        self._encoder, card = open_bundle(folder)
        config = read_config(folder)
        self._card = EndpointCard(
            url=url,
            model=folder.name,
            outputs=dict(self._encoder.shapes(card.sample_shape)),
            image_side=card.image_size,
            weights_digest=card.weights_digest,
            serving_digest=_serving_digest(self._encoder, config, card),
            architecture=config["architecture"],
            properties=_properties(config, card),
            max_message_bytes=2**31 - 1,
            bytes_per_value=sample_dtype(card.sample_shape).itemsize,
            idempotent=True,
            features=card.features,
        )

    @classmethod
    def check_address(cls, url: str) -> None:
        """See `Driver.check_address`."""
        _folder(url)

    @classmethod
    def open(cls, url: str, transport: Transport) -> Self:
        """See `Driver.open`."""
        return cls(url, transport)

    def read_card(self) -> EndpointCard:
        """The card: the model in this process stays the same."""
        return self._card

    def ask(self, samples: Samples, outputs: Sequence[str], request_id: str) -> Answers:
        """See `Driver.ask`."""
        return self._encoder.answer(samples, outputs)

    def close(self) -> None:
        """Nothing to close."""


def _folder(url: str) -> Path:
    folder = url.removeprefix("local:")
    if not folder:
        raise UsageError(f"The endpoint {url!r} names no bundle: use {LocalDriver.form}.")
    return Path(folder)


def _serving_digest(encoder: "Encoder", config: Mapping[str, Any], card: "BundleCard") -> str:
    """What the encoder server would publish of the bundle: answers of both are the same."""
    return serving_digest(
        weights_digest=card.weights_digest,
        architecture=config["architecture"],
        model_args=config.get("model_args", {}),
        sample_shape=card.sample_shape,
        channels=encoder.channels,
        options={},
    )


def _properties(config: Mapping[str, Any], card: "BundleCard") -> dict[str, str]:
    """What the encoder server would publish of the bundle, for an untrained twin."""
    properties = {names.MODEL_ARGS: json.dumps(config.get("model_args", {}))}
    if card.features is not None:
        return properties
    return properties | {names.MEAN: format_channels(card.mean), names.STD: format_channels(card.std)}
