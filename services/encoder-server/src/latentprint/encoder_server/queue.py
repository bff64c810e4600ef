"""The queue between the event loop and the devices: whole requests in, batches of one kind out."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.samples import Samples
from latentprint.encoder_server.refusals import overloaded
from latentprint.encoder_server.settings import Batching, Limits

Answers = Mapping[str, NDArray[np.float32]]
Kind = tuple[tuple[int, ...], tuple[str, ...]]


class Stage(Enum):
    """How far a ticket has come."""

    QUEUED = auto()
    STARTED = auto()
    DROPPED = auto()


@dataclass(eq=False)
class Ticket:
    """One request's place in the queue.

    Attributes:
        samples: uint8 images [B, H, W, 3] or float32 vectors [B, F].
        outputs: names of the outputs asked for.
        answer: resolves, on its event loop, to the outputs' arrays, B rows each.
        expires: `time.monotonic()` after which nobody waits for the answer.
        probe: asked to find out whether the model takes such samples; that it fails is no failure.
    """

    samples: Samples
    outputs: tuple[str, ...]
    answer: "asyncio.Future[Answers]"
    expires: float
    arrived: float = field(default_factory=time.monotonic)
    stage: Stage = Stage.QUEUED
    probe: bool = False

    @property
    def kind(self) -> Kind:
        """Tickets of one kind may share a forward: the same shape of a sample and outputs."""
        return self.samples.shape[1:], self.outputs


class BatchQueue:
    """Thread-safe queue of tickets; a free device takes the oldest kind's, as many as fit a batch.

    Args:
        batching: images in a batch, beyond which a request travels alone, and how long a batch may take to fill.
        limits: images that may wait, and their bytes; beyond them `put` refuses.
    """

    def __init__(self, batching: Batching, limits: Limits) -> None:
        self._batching = batching
        self._max_images = limits.max_queued_images
        self._max_bytes = limits.max_queued_bytes
        self._kinds: dict[Kind, deque[Ticket]] = {}
        self._changed = Condition()
        self._images = 0
        self._bytes = 0
        self._closed = False

    @property
    def images(self) -> int:
        """Images that wait."""
        return self._images

    def put(self, ticket: Ticket) -> None:
        """Queue a ticket. Raises `Refusal` (overload) where its images do not fit beside those that wait."""
        with self._changed:
            if self._images + len(ticket.samples) > self._max_images:
                raise overloaded(f"{self._images} images", self._max_images)
            if self._images and self._bytes + ticket.samples.nbytes > self._max_bytes:
                raise overloaded(f"{self._bytes} bytes of images", self._max_bytes)
            self._kinds.setdefault(ticket.kind, deque()).append(ticket)
            self._count(ticket, 1)
            self._changed.notify()

    def withdraw(self, ticket: Ticket) -> bool:
        """Take a ticket back out; False where its forward has begun (or it was dropped before)."""
        with self._changed:
            if ticket.stage is not Stage.QUEUED:
                return False
            self._drop(ticket)
            return True

    def close(self) -> None:
        """Let `take` return None once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> tuple[list[Ticket], list[Ticket]] | None:
        """Wait for a batch: its tickets and those found expired; None when the queue is closed and empty."""
        with self._changed:
            while True:
                late = self._drop_expired()
                kind = self._oldest()
                if kind is None and self._closed and not late:
                    return None
                wait = None if kind is None else self._wait(self._kinds[kind])
                if late or wait == 0:
                    return ([] if kind is None or wait else self._collect(kind)), late
                self._changed.wait(wait)

    def _wait(self, tickets: "deque[Ticket]") -> float:
        """Seconds until these should go: 0 where they fill a batch or have waited long enough."""
        max_delay = self._batching.max_delay_seconds
        if max_delay == 0 or self._closed:
            return 0.0
        if sum(len(ticket.samples) for ticket in tickets) >= self._batching.samples(tickets[0].kind[0]):
            return 0.0
        return max(0.0, tickets[0].arrived + max_delay - time.monotonic())

    def _oldest(self) -> Kind | None:
        return min(self._kinds, key=lambda kind: self._kinds[kind][0].arrived, default=None)

    def _collect(self, kind: Kind) -> list[Ticket]:
        tickets = self._kinds[kind]
        batch = [tickets.popleft()]
        images = len(batch[0].samples)
        most = self._batching.samples(kind[0])
        while tickets and images + len(tickets[0].samples) <= most:
            batch.append(tickets.popleft())
            images += len(batch[-1].samples)
        if not tickets:
            del self._kinds[kind]
        for ticket in batch:
            ticket.stage = Stage.STARTED
            self._count(ticket, -1)
        return batch

    def _drop_expired(self) -> list[Ticket]:
        now = time.monotonic()
        late = [t for tickets in self._kinds.values() for t in tickets if t.expires < now]
        for ticket in late:
            self._drop(ticket)
        return late

    def _drop(self, ticket: Ticket) -> None:
        ticket.stage = Stage.DROPPED
        tickets = self._kinds[ticket.kind]
        tickets.remove(ticket)
        if not tickets:
            del self._kinds[ticket.kind]
        self._count(ticket, -1)

    def _count(self, ticket: Ticket, sign: int) -> None:
        self._images += sign * len(ticket.samples)
        self._bytes += sign * ticket.samples.nbytes


def expiry(remaining: Any) -> float:
    """`time.monotonic()` at which a call with `remaining` seconds (None: no deadline) is over."""
    return float("inf") if remaining is None else time.monotonic() + float(remaining)
