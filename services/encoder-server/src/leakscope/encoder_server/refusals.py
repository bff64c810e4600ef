"""Refusals: a status code, one sentence, and details that tell a client whether to try again."""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from leakscope.core.oip.names import DOMAIN, STATUS_DETAILS

RETRY_SECONDS = 0.25


class Refusal(Exception):
    """A call that ends with `code` and `message`; `detail` is a google.rpc message, where one helps the client."""

    def __init__(self, code: Any, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The google.rpc.Status that carries the detail; empty without one."""
        if self.detail is None:
            return ()
        packed = AnyMessage()
        packed.Pack(self.detail)
        status = Status(code=self.code.value[0], message=self.message, details=[packed])
        return ((STATUS_DETAILS, status.SerializeToString()),)


def invalid(message: str) -> Refusal:
    """INVALID_ARGUMENT: the request is wrong and stays so."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    """NOT_FOUND: no such model or version."""
    return Refusal(grpc.StatusCode.NOT_FOUND, message)


def unauthenticated(message: str) -> Refusal:
    """UNAUTHENTICATED: no key, or one that is not known."""
    return Refusal(grpc.StatusCode.UNAUTHENTICATED, message)


def expired() -> Refusal:
    """DEADLINE_EXCEEDED: the caller's time was up before the forward."""
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed while the request waited for the device.")


def internal(message: str) -> Refusal:
    """INTERNAL: the forward failed."""
    return Refusal(grpc.StatusCode.INTERNAL, message)


def overloaded(queued: int, limit: int) -> Refusal:
    """RESOURCE_EXHAUSTED with RetryInfo: the same request may succeed in a moment."""
    delay = Duration()
    delay.FromMilliseconds(round(RETRY_SECONDS * 1000))
    message = f"{queued} images wait already (limit {limit}): send the request again in a moment."
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, RetryInfo(retry_delay=delay))


def oversize(reason: str, message: str, limit: int) -> Refusal:
    """RESOURCE_EXHAUSTED with ErrorInfo: the same request never succeeds, a smaller one does."""
    detail = ErrorInfo(reason=reason, domain=DOMAIN, metadata={"limit": str(limit)})
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, detail)
