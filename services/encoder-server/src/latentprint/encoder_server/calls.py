"""What every call gets: its message parsed here, its refusal as a status, its code and its time counted."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import EOF

from latentprint.encoder_server.metrics import OTHER, Metrics
from latentprint.encoder_server.refusals import (
    Refusal,
    closing,
    internal,
    invalid,
    silent,
    too_many_streams,
    unimplemented,
)

_log = logging.getLogger(__name__)

MAX_STREAMS = 256
MESSAGE_SECONDS = 120.0

Behavior = Callable[[Any, Any], Any]
Work = Callable[[Any], Awaitable[Any]]


class CallGuard(grpc.aio.ServerInterceptor):
    """Stands between gRPC and every method, health and reflection included.

    gRPC answers bytes that it cannot parse, and any exception, as UNKNOWN with Python's own words, and writes a
    traceback for each. So messages are taken raw and parsed here: what goes wrong is a `Refusal`, sent as its status,
    or a failure of ours, sent as INTERNAL. A call is counted before its status is sent, so that who has the answer
    finds it counted.

    Args:
        metrics: told of every call.
        methods: paths that there are; all others are counted under one label.
        message_seconds: how long a call may take to send its message.
        max_streams: streams that may be open at once, over all callers.
    """

    def __init__(
        self,
        metrics: Metrics,
        methods: Collection[str],
        message_seconds: float = MESSAGE_SECONDS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._metrics = metrics
        self._labels = {path: path.rpartition("/")[2] for path in methods}
        self._message_seconds = message_seconds
        self._max_streams = max_streams
        self._streams: set[asyncio.Task[None]] = set()
        self._closing = False

    def close_streams(self) -> None:
        """End all streams as UNAVAILABLE, and refuse new ones: none would end by itself."""
        self._closing = True
        for stream in self._streams:
            stream.cancel()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The method's handler with all of this around it; never None."""
        method = self._labels.get(details.method, OTHER)
        try:
            handler = await continuation(details)
        except Refusal as refusal:
            return self._refusing(method, refusal)
        if handler is None:
            return self._refusing(method, unimplemented())
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._answering(method, handler), response_serializer=handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(
            self._streaming(method, handler), response_serializer=handler.response_serializer
        )

    def _refusing(self, method: str, refusal: Refusal) -> Any:
        async def refuse(_context: Any) -> None:
            raise refusal

        return grpc.stream_unary_rpc_method_handler(self._observed(method, refuse))

    def _answering(self, method: str, handler: Any) -> Behavior:
        async def answer(context: Any) -> Any:
            return await handler.unary_unary(await self._message(handler, context), context)

        return self._observed(method, answer)

    def _streaming(self, method: str, handler: Any) -> Behavior:
        async def work(context: Any) -> None:
            if handler.unary_stream is not None:
                await handler.unary_stream(await self._message(handler, context), context)
                return
            async for response in handler.stream_stream(_messages(handler, context), context):
                await context.write(response)

        return self._observed(method, lambda context: self._stream(work, context))

    async def _stream(self, work: Work, context: Any) -> None:
        if self._closing:
            raise closing()
        if len(self._streams) >= self._max_streams:
            raise too_many_streams(self._max_streams)
        stream = asyncio.ensure_future(work(context))
        self._streams.add(stream)
        try:
            await stream
        except asyncio.CancelledError:
            if self._closing:
                raise closing() from None
            raise
        finally:
            self._streams.discard(stream)

    async def _message(self, handler: Any, context: Any) -> Any:
        """The one message of a call. Raises `Refusal` where none comes or it cannot be parsed."""
        try:
            async with asyncio.timeout(self._message_seconds):
                content = await context.read()
        except TimeoutError:
            raise silent(self._message_seconds) from None
        if content is EOF:
            raise invalid("The call ended without a message: send one.")
        return _parsed(handler, content)

    def _observed(self, method: str, work: Work) -> Behavior:
        async def handle(_messages: Any, context: Any) -> Any:
            try:
                with self._counted(method):
                    return await work(context)
            except Refusal as refusal:
                return await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())

        return handle

    @contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        """Count what happens inside; a failure that is no `Refusal` becomes one, and a line of the log."""
        started = time.monotonic()
        code = "CANCELLED"  # by the caller, or by its deadline
        try:
            yield
            code = "OK"
        except Refusal as refusal:
            code = refusal.code.name
            self._metrics.refused(method, refusal.reason)
            raise
        except Exception:
            _log.exception("%s failed", method)
            failure = internal("The server failed; its log says why.")
            code = failure.code.name
            self._metrics.refused(method, failure.reason)
            raise failure from None
        finally:
            self._metrics.call(method, code, time.monotonic() - started)


def _parsed(handler: Any, content: bytes) -> Any:
    try:
        return handler.request_deserializer(content)
    except (DecodeError, ValueError):
        raise invalid(f"These {len(content)} bytes are no message that this method takes.") from None


async def _messages(handler: Any, context: Any) -> AsyncIterator[Any]:
    while (content := await context.read()) is not EOF:
        yield _parsed(handler, content)
