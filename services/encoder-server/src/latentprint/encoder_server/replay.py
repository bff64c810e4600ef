"""Requests with an id are answered once: a repeated one gets the kept answer, a concurrent one shares the forward."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from latentprint.core.oip import inference_pb2 as pb
from latentprint.encoder_server.queue import Ticket

ENTRY_BYTES = 256  # of a kept answer beside its content: its key, and its place in the store

Key = bytes
Response = pb.ModelInferResponse


@dataclass(eq=False)
class Flight:
    """An answer in the making: its ticket, the task that resolves to the response, and how many callers wait."""

    ticket: Ticket
    task: "asyncio.Task[Response]"
    waiters: int = 0


class Replay:
    """Answers by key, the least recently used forgotten first.

    Args:
        max_bytes: of kept answers, `ENTRY_BYTES` for each beside its content.
        withdraw: takes a ticket out of the queue; False once its forward has begun. Such an answer is kept even
            where nobody waits for it any more, since the caller will ask again.
    """

    def __init__(self, max_bytes: int, withdraw: Callable[[Ticket], bool]) -> None:
        self._max_bytes = max_bytes
        self._withdraw = withdraw
        self._bytes = 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._flights: dict[Key, Flight] = {}

    def kept(self, key: Key) -> Response | None:
        """The kept answer, if there is one."""
        content = self._kept.get(key)
        if content is None:
            return None
        self._kept.move_to_end(key)
        response = Response()
        response.ParseFromString(content)
        return response

    def under_way(self, key: Key) -> Flight | None:
        """The answer in the making, if there is one."""
        return self._flights.get(key)

    def depart(self, key: Key, flight: Flight) -> None:
        """Note an answer in the making: kept when it arrives, forgotten where it fails."""
        self._flights[key] = flight
        flight.task.add_done_callback(lambda task: self._arrive(key, task))

    async def wait(self, key: Key, flight: Flight) -> Response:
        """Await a flight; where its last waiter is cancelled before the forward began, the question is withdrawn."""
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done() and self._withdraw(flight.ticket):
                self._forget(key, flight.task)
                flight.task.cancel()

    def _arrive(self, key: Key, task: "asyncio.Task[Response]") -> None:
        self._forget(key, task)
        if not task.cancelled() and task.exception() is None:
            self._keep(key, task.result().SerializeToString())

    def _forget(self, key: Key, task: "asyncio.Task[Response]") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]

    def _keep(self, key: Key, content: bytes) -> None:
        if len(content) + ENTRY_BYTES > self._max_bytes:
            return
        if key in self._kept:
            self._bytes -= len(self._kept.pop(key)) + ENTRY_BYTES
        self._kept[key] = content
        self._bytes += len(content) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1]) + ENTRY_BYTES


def request_key(client: str, request: pb.ModelInferRequest) -> Key:
    """Key of a request: who asks and all that is asked, the id included.

    The content is part of it because many clients send the same id with every request: a reused id never gets
    another question's answer.
    """
    state = hashlib.sha256(hashlib.sha256(client.encode()).digest())
    state.update(request.SerializeToString(deterministic=True))
    return state.digest()
