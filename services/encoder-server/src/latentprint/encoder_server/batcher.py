"""Dynamic batching across requests: one thread per device takes what waits, answers it, and hands rows back."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from latentprint.core.samples import Samples
from latentprint.encoder_server.forward import Forward, is_out_of_memory
from latentprint.encoder_server.queue import Answers, BatchQueue, Ticket
from latentprint.encoder_server.refusals import ForwardFailed, Refusal, expired, out_of_memory
from latentprint.encoder_server.settings import Batching, Limits

_log = logging.getLogger(__name__)

Outcome = Answers | Refusal


class Batcher:
    """Turns concurrent requests into batches without ever mixing their rows.

    Work-conserving: a device's own thread takes what waits the moment it is free, so that the event loop, however
    busy with messages, never keeps a device idle, and a busy device never keeps the loop from health checks.

    Args:
        forwards: one per device.
        batching: sizes and delays.
        limits: of what may wait.
        observe: told of each batch, on the event loop: its images, the seconds that each of its requests waited, and
            those that its forward took.
    """

    def __init__(
        self,
        forwards: Sequence[Forward],
        batching: Batching,
        limits: Limits,
        observe: Callable[[int, Sequence[float], float], None],
    ) -> None:
        self.queue = BatchQueue(batching, limits)
        self._loop = asyncio.get_running_loop()
        self._observe = observe
        self._threads = [threading.Thread(target=self._work, args=(forward,), daemon=True) for forward in forwards]
        for thread in self._threads:
            thread.start()

    def submit(self, samples: Samples, outputs: tuple[str, ...], expires: float) -> Ticket:
        """Queue images [B, H, W, 3] or vectors [B, F]; await the ticket's `answer`. Raises `Refusal` on overload."""
        ticket = Ticket(samples, outputs, self._loop.create_future(), expires)
        self.queue.put(ticket)
        return ticket

    async def probe(self, samples: Samples, outputs: tuple[str, ...]) -> Answers:
        """Whether the model takes such samples: its answer, or a `Refusal`; a failed forward writes no log."""
        ticket = Ticket(samples, outputs, self._loop.create_future(), float("inf"), probe=True)
        self.queue.put(ticket)
        return await ticket.answer

    async def close(self) -> None:
        """Answer what waits, then end the threads."""
        self.queue.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _work(self, forward: Forward) -> None:
        forward.prepare_thread()
        while (taken := self.queue.take()) is not None:
            batch, late = taken
            for ticket in late:
                self._loop.call_soon_threadsafe(_resolve, ticket, expired())
            if batch:
                taken_at = time.monotonic()
                outcomes = _outcomes(forward, batch)
                took = time.monotonic() - taken_at
                self._loop.call_soon_threadsafe(self._deliver, batch, outcomes, taken_at, took)

    def _deliver(self, batch: list[Ticket], outcomes: list[Outcome], taken_at: float, took: float) -> None:
        waited = [taken_at - ticket.arrived for ticket in batch]
        self._observe(sum(len(ticket.samples) for ticket in batch), waited, took)
        for ticket, outcome in zip(batch, outcomes, strict=True):
            _resolve(ticket, outcome)


def _outcomes(forward: Forward, batch: list[Ticket]) -> list[Outcome]:
    """Each ticket's own rows, or the same failure for all tickets of this batch."""
    try:
        answers = forward(np.concatenate([ticket.samples for ticket in batch]), batch[0].outputs)
        return [*_rows(answers, [len(ticket.samples) for ticket in batch])]
    except Exception as error:
        if not all(ticket.probe for ticket in batch):
            _log.exception("A batch of %d requests failed", len(batch))
        return [_failure(error)] * len(batch)


def _failure(error: Exception) -> Refusal:
    if is_out_of_memory(error):
        return out_of_memory()
    return ForwardFailed((str(error).splitlines() or [""])[0])


def _rows(answers: Answers, counts: Sequence[int]) -> list[Answers]:
    """Split `answers` [sum(counts), ...] back into one group of rows per request, in order."""
    ends = np.cumsum(counts)
    for name, array in answers.items():
        if len(array) != ends[-1]:
            raise RuntimeError(f"{name} has {len(array)} rows for {ends[-1]} images")
    return [
        {name: array[end - count : end] for name, array in answers.items()}
        for end, count in zip(ends, counts, strict=True)
    ]


def _resolve(ticket: Ticket, outcome: Outcome) -> None:
    if ticket.answer.done():
        return
    if isinstance(outcome, Refusal):
        ticket.answer.set_exception(outcome)
    else:
        ticket.answer.set_result(outcome)
