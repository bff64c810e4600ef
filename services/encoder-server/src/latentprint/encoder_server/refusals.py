"""Refusals: a status code, one sentence, and details that tell a client whether to try again."""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from latentprint.core.oip.names import DOMAIN, STATUS_DETAILS
from latentprint.core.text import printable

RETRY_SECONDS = 0.25
REASONS = (
    *("invalid", "not_found", "unauthenticated", "no_such_method", "no_message", "stopping", "deadline"),
    *("queue_full", "out_of_memory", "too_many_streams", "too_many_images", "answer_too_large"),
    *("failed", "forward_failed"),
)
MESSAGE_LENGTH = 400  # percent-encoded it stays below the 8 KiB that a client takes as metadata


class Refusal(Exception):
    """A call that ends with `code` and `message`; `detail` is a google.rpc message, where one helps the client.

    A message may quote what the caller sent: it is kept short, and written out where a terminal would act on it.
    `reason`, one of `REASONS`, is for the metrics: no caller chooses it.
    """

    def __init__(self, code: Any, message: str, detail: Any = None, *, reason: str) -> None:
        self.code = code
        self.reason = reason
        self.message = printable(message, MESSAGE_LENGTH)
        self.detail = detail
        super().__init__(self.message)

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The google.rpc.Status that carries the detail; empty without one."""
        if self.detail is None:
            return ()
        packed = AnyMessage()
        packed.Pack(self.detail)
        status = Status(code=self.code.value[0], message=self.message, details=[packed])
        return ((STATUS_DETAILS, status.SerializeToString()),)


class ForwardFailed(Refusal):
    """INTERNAL: the model failed.

    What it `said` is not sent, except with the refusal of a size that it does not take.
    """

    def __init__(self, said: str) -> None:
        message = "The forward failed; the server's log says why."
        super().__init__(grpc.StatusCode.INTERNAL, message, reason="forward_failed")
        self.said = printable(said)


def invalid(message: str) -> Refusal:
    """INVALID_ARGUMENT: the request is wrong and stays so."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message, reason="invalid")


def not_found(message: str) -> Refusal:
    """NOT_FOUND: no such model or version."""
    return Refusal(grpc.StatusCode.NOT_FOUND, message, reason="not_found")


def unauthenticated(message: str) -> Refusal:
    """UNAUTHENTICATED: no key, or one that is not known."""
    return Refusal(grpc.StatusCode.UNAUTHENTICATED, message, reason="unauthenticated")


def unimplemented() -> Refusal:
    """UNIMPLEMENTED: no such method."""
    message = "This server has no such method; reflection lists those it has."
    return Refusal(grpc.StatusCode.UNIMPLEMENTED, message, reason="no_such_method")


def silent(seconds: float) -> Refusal:
    """DEADLINE_EXCEEDED: a call whose message did not come."""
    message = f"The call's message did not come within {seconds:g} seconds."
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, message, reason="no_message")


def closing() -> Refusal:
    """UNAVAILABLE: the server is about to stop."""
    return Refusal(grpc.StatusCode.UNAVAILABLE, "The server is stopping.", reason="stopping")


def expired() -> Refusal:
    """DEADLINE_EXCEEDED: the caller's time was up before the forward."""
    message = "The deadline passed while the request waited for the device."
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, message, reason="deadline")


def internal(message: str) -> Refusal:
    """INTERNAL: the server failed."""
    return Refusal(grpc.StatusCode.INTERNAL, message, reason="failed")


def overloaded(queued: str, limit: int) -> Refusal:
    """RESOURCE_EXHAUSTED with RetryInfo: the same request may succeed in a moment."""
    return _later(f"{queued} wait already (limit {limit}): send the request again in a moment.", "queue_full")


def out_of_memory() -> Refusal:
    """RESOURCE_EXHAUSTED with RetryInfo: the device's memory did not suffice, and may in a moment."""
    message = "The device's memory did not suffice: send fewer or smaller images, or the same in a moment."
    return _later(message, "out_of_memory")


def too_many_streams(limit: int) -> Refusal:
    """RESOURCE_EXHAUSTED with RetryInfo: another stream may have ended by then."""
    return _later(f"{limit} streams are open already: close those that are no longer read.", "too_many_streams")


def oversize(reason: str, message: str, limit: int) -> Refusal:
    """RESOURCE_EXHAUSTED with ErrorInfo: the same request never succeeds, a smaller one does."""
    detail = ErrorInfo(reason=reason, domain=DOMAIN, metadata={"limit": str(limit)})
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, detail, reason=reason.lower())


def _later(message: str, reason: str) -> Refusal:
    delay = Duration()
    delay.FromMilliseconds(round(RETRY_SECONDS * 1000))
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, RetryInfo(retry_delay=delay), reason=reason)
