"""An endpoint in this process: a victim bundle, asked through the same interface as a remote one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from leakscope.attack_engine.endpoints.base import Answers, EndpointCard
from leakscope.core.bundles import open_bundle
from leakscope.core.digests import digest_json
from leakscope.core.samples import Samples, sample_dtype


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
        # The same weights normalised otherwise answer otherwise.
        digest = digest_json([card.weights_digest, card.mean, card.std])
        self.card = EndpointCard(
            url=url,
            model=folder.name,
            outputs=dict(self._encoder.shapes(card.sample_shape)),
            image_side=card.image_size,
            weights_digest=digest,
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
