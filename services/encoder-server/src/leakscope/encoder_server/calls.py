"""What every call gets: its refusal as a status, its code and its time counted."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from leakscope.encoder_server.metrics import Metrics
from leakscope.encoder_server.refusals import Refusal, internal

_log = logging.getLogger(__name__)

Handler = Callable[[Any, Any], Awaitable[Any]]


def observed(method: str, handler: Handler, metrics: Metrics) -> Handler:
    """`handler` with its outcome counted, a `Refusal` sent as its status and any other failure as INTERNAL.

    A call is counted before its status is sent, so that who has the answer finds it counted.
    """

    async def handle(request: Any, context: Any) -> Any:
        started = time.monotonic()
        code = "CANCELLED"  # by the caller, or by its deadline
        try:
            response = await handler(request, context)
            code = "OK"
            return response
        except Refusal as error:
            refusal = error
            code = refusal.code.name
        except Exception:
            _log.exception("%s failed", method)
            refusal = internal("The server failed; its log says why.")
            code = refusal.code.name
        finally:
            metrics.call(method, code, time.monotonic() - started)
        return await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())

    return handle
