"""How a query becomes requests: sizes that fit the limits, ids that are digests of their content, and their pace."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from latentprint.attack_engine.asking.endpoint import EndpointCard
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import EndpointError
from latentprint.core.samples import Samples, is_vector

_OVERHEAD = 4096


@dataclass(frozen=True)
class QueryRequest:
    """Samples that travel together.

    Attributes:
        id: digest of everything that their answer depends on.
        start: the first one's row in the query that they are part of.
        images: the samples.
        sent: how many the endpoint is given: more than these where it takes none but full batches.
    """

    id: str
    start: int
    images: Samples
    sent: int

    @property
    def stop(self) -> int:
        """Row after the request's last one in the query it is part of."""
        return self.start + len(self.images)


def images_per_request(card: EndpointCard, shape: tuple[int, ...], outputs: Sequence[str], asked: int | None) -> int:
    """Images of `shape` [B, H, W, 3], or vectors of [B, F], that one request carries.

    The number asked for, or the one the endpoint prefers, and never more than its limits on samples and on bytes allow;
    where it takes none but full batches, theirs.

    Raises:
        EndpointError: a single sample, or the one batch that it takes, is larger than the endpoint's messages.
    """
    wanted = card.batch or asked or card.preferred_images
    one = max(prod(shape[1:]) * card.bytes_per_value, answer_bytes(card, outputs))
    by_bytes = (card.max_message_bytes - _OVERHEAD) // one
    least = card.batch or 1
    if by_bytes < least:
        raise EndpointError(
            f"{_described(least, shape[1:])} messages of {least * one + _OVERHEAD} bytes, but "
            f"{card.url} takes {card.max_message_bytes}: ask it for smaller ones, or raise its message limit."
        )
    return max(1, min(wanted, card.max_images, by_bytes))


def answer_bytes(card: EndpointCard, outputs: Sequence[str]) -> int:
    """Bytes of one sample's answer; an output whose size varies counts nothing."""
    return sum(4 * prod(card.outputs[name]) for name in outputs if min(card.outputs[name], default=1) > 0)


def _described(count: int, sample_shape: tuple[int, ...]) -> str:
    size = f"{sample_shape[0]}" if is_vector(sample_shape) else "{}x{}".format(*sample_shape)
    kind = "vector" if is_vector(sample_shape) else "image"
    return f"One {kind} of {size} and its answer need" if count == 1 else f"{count} {kind}s of {size} and answers need"


def split(card: EndpointCard, images: Samples, outputs: Sequence[str], size: int) -> list[QueryRequest]:
    """The requests that ask `outputs` for `images`, `size` images each, in order."""
    context = digest_json({"endpoint": card.identity, "outputs": sorted(outputs)})
    parts = [(start, images[start : start + size]) for start in range(0, len(images), size)]
    return [
        QueryRequest(digest_json([context, digest_arrays(images=part)]), start, part, card.batch or len(part))
        for start, part in parts
    ]


class Throttle:
    """Spaces requests so that no more than `images_per_second` leave on average; safe between threads."""

    def __init__(self, images_per_second: float) -> None:
        self._rate = images_per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self, images: int) -> None:
        """Block until `images` more may be sent."""
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + images / self._rate
        time.sleep(max(0.0, start - time.monotonic()))
