"""What every call gets: its refusal as a status, its code and its time counted."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from leakscope.encoder_server.metrics import Metrics
from leakscope.encoder_server.refusals import Refusal

_log = logging.getLogger(__name__)

Handler = Callable[[Any, Any], Awaitable[Any]]


def observed(method: str, handler: Handler, metrics: Metrics) -> Handler:
    """`handler` with its outcome counted, a `Refusal` sent as its status and any other failure as INTERNAL."""

    async def handle(request: Any, context: Any) -> Any:
        started = time.monotonic()
        code = "CANCELLED"
        try:
            response = await handler(request, context)
            code = "OK"
            return response
        except Refusal as refusal:
            code = refusal.code.name
            await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())
        except Exception:
            code = "INTERNAL"
            _log.exception("%s failed", method)
            await context.abort(grpc.StatusCode.INTERNAL, "The server failed; its log says why.")
        finally:
            metrics.call(method, code, time.monotonic() - started)

    return handle
