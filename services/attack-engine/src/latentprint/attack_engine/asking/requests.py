"""How a query becomes requests: sizes that fit the limits, ids that are digests of their content, and their pace."""

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.answer_log import Keys
from latentprint.attack_engine.asking.endpoint import EndpointCard
from latentprint.core.digests import digest_json
from latentprint.core.errors import EndpointError
from latentprint.core.samples import Samples, is_vector

Rows = NDArray[np.int64]
_OVERHEAD = 4096


@dataclass(frozen=True)
class QueryRequest:
    """Samples that travel together.

    Attributes:
        id: digest of everything that their answer depends on.
        rows: their places in the query that they are part of, int64 [B].
        samples: uint8 [B, H, W, 3] or float32 [B, F].
        digests: of the samples, "S16" [B].
        sent: how many the endpoint is given: more than these where it takes none but full batches.
    """

    id: str
    rows: Rows
    samples: Samples
    digests: Keys
    sent: int

    @classmethod
    def of(
        cls, card: EndpointCard, samples: Samples, digests: Keys, rows: Rows, outputs: Sequence[str]
    ) -> "QueryRequest":
        """The request that asks `outputs` about the samples at `rows` of a query."""
        first, last = int(rows[0]), int(rows[-1])
        one_piece = last - first + 1 == len(rows)  # rows ascend: no copy is needed then
        part = samples[first : last + 1] if one_piece else samples[rows]
        name = request_id(card, digests[rows], outputs)
        return cls(name, rows, part, digests[rows], card.batch or len(rows))


def images_per_request(
    card: EndpointCard,
    shape: tuple[int, ...],
    outputs: Sequence[str],
    asked: int | None,
    images_per_second: float | None = None,
) -> int:
    """Images of `shape` [B, H, W, 3], or vectors of [B, F], that one request carries.

    The number asked for, or the one the endpoint prefers, and never more than its limits on samples and on bytes allow;
    where it takes none but full batches, theirs. Under a ceiling on the rate no more than a second's: requests are what
    is spaced, and the first is not.

    Raises:
        EndpointError: a single sample, or the one batch that it takes, is larger than the endpoint's messages.
    """
    wanted = card.batch or asked or card.preferred_images
    if images_per_second is not None and not card.batch:
        wanted = min(wanted, max(1, int(images_per_second)))
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


def split(rows: Rows, kept: NDArray[np.bool_], size: int) -> tuple[list[Rows], list[Rows]]:
    """How the samples at `rows` are asked, `size` together, where some answers are kept: groups to ask, groups kept.

    Groups kept whole, or not at all, are those that there would be if nothing were kept, so that a run that was
    killed asks the very requests again that it left unanswered. What is missing of the others is put together anew.

    Args:
        rows: int64 [U], of distinct samples.
        kept: bool [U], whether all that is asked is kept.
        size: samples in a group.
    """
    missing, whole, rest = [], [], []
    for start in range(0, len(rows), size):
        group, found = rows[start : start + size], kept[start : start + size]
        if found.all():
            whole.append(group)
        elif not found.any():
            missing.append(group)
        else:
            whole.append(group[found])
            rest.append(group[~found])
    left = np.concatenate([np.zeros(0, dtype=np.int64), *rest])
    return missing + [left[start : start + size] for start in range(0, len(left), size)], whole


def request_id(card: EndpointCard, digests: Keys, outputs: Sequence[str]) -> str:
    """What a request for `outputs` of samples with these digests, "S16" [B], is known by to ledger and endpoint."""
    content = hashlib.sha256(digests.tobytes()).hexdigest()
    return digest_json([digest_json({"endpoint": card.identity, "outputs": sorted(outputs)}), content])


class Throttle:
    """Spaces requests so that no more than `images_per_second` leave on average; safe between threads."""

    def __init__(self, images_per_second: float) -> None:
        self.images_per_second = images_per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self, images: int) -> None:
        """Block until `images` more may be sent."""
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + images / self.images_per_second
        time.sleep(max(0.0, start - time.monotonic()))
