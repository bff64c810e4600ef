"""What a failed call means: whether it may be asked again, and the sentence for the user."""

from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from leakscope.core.errors import EndpointError
from leakscope.core.oip.names import DOMAIN

_HTTP1 = ("failed parsing http/2", "http1", "http/1", "http2 header with status", "invalid content-type")
_SIZE = ("larger than max", "message size", "message larger", "too large")


def may_repeat(error: BaseException) -> bool:
    """Whether asking again is safe and may help: the server was away, or says when to come back."""
    if not isinstance(error, grpc.RpcError):
        return False
    code = error.code()
    return (code == grpc.StatusCode.UNAVAILABLE and not _speaks_http(error)) or retry_delay(error) is not None


def retry_delay(error: Any) -> float | None:
    """Seconds after which an overloaded server wants to be asked again; None if it says nothing of the kind."""
    if not isinstance(error, grpc.RpcError) or error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    info = error_details_pb2.RetryInfo()
    for detail in _details(error):
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


def _is_oversize(error: Any, said: str) -> bool:
    info = error_details_pb2.ErrorInfo()
    published = any(detail.Unpack(info) and info.domain == DOMAIN for detail in _details(error))
    return published or any(sign in said.lower() for sign in _SIZE)


def _details(error: Any) -> list[Any]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # another server's trailer that contradicts its status
        return []
    return [] if status is None else list(status.details)


def _speaks_http(error: Any) -> bool:
    text = (error.details() or "").lower()
    return any(sign in text for sign in _HTTP1)


def is_deadline(error: Any) -> bool:
    """Whether an attempt ran out of its own time."""
    return isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def explain(error: Any, url: str, *, model: str, key: bool, images: int = 0) -> EndpointError:
    """The error a user sees for a failed call: what is wrong and what to do, in one sentence."""
    said, name = _said(error), error.code().name
    if _speaks_http(error):
        return EndpointError(f"{url} is not a gRPC server but an HTTP or other one ({said}): give the gRPC port.")
    sentences = {
        "UNAVAILABLE": f"{url} does not answer ({said}): start the server, or check host and port.",
        "DEADLINE_EXCEEDED": f"{url} did not answer {images} images in time: give it more (timeout_seconds), or ask "
        "for fewer images a request.",
        "UNAUTHENTICATED": _key_sentence(url, key),
        "PERMISSION_DENIED": _key_sentence(url, key),
        "UNIMPLEMENTED": f"{url} speaks gRPC but not the Open Inference Protocol v2 ({said}): give the address of a "
        "server that does.",
        "NOT_FOUND": _model_sentence(url, model, said),
        "RESOURCE_EXHAUSTED": _exhausted_sentence(error, url, said, images),
    }
    return EndpointError(sentences.get(name, f"{url} refused {images} images ({name}): {said}."))


def _said(error: Any) -> str:
    """The server's words, or the cause at the end of gRPC's own account of a failed connection."""
    text = " ".join((error.details() or "no reason given").split())
    cause = text.rpartition("last error: ")[2].rpartition("Failed to connect to remote host: ")[2]
    return cause[:300].rstrip(".")


def _model_sentence(url: str, model: str, said: str) -> str:
    if not model:
        return f"{url} wants to be told which model, as in grpc://HOST:PORT/MODEL ({said})."
    return f"{url} does not serve {model!r}: {said}."


def _key_sentence(url: str, key: bool) -> str:
    if key:
        return f"{url} refuses this API key: check the key in the API key file."
    return f"{url} wants an API key: give the file that holds it."


def _exhausted_sentence(error: Any, url: str, said: str, images: int) -> str:
    if retry_delay(error) is not None:
        return f"{url} stayed overloaded ({said}): ask with fewer requests in flight, or later."
    if _is_oversize(error, said):
        return f"{url} takes no message as large as one of {images} images ({said}): ask for fewer images a request."
    return f"{url} refuses more ({said})."
