"""What a failed call means: whether it may be asked again, and the sentence for the user."""

import re
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from latentprint.attack_engine.asking.drivers.driver import DriverError
from latentprint.core.oip.names import DOMAIN

_HTTP = ("failed parsing http/2", "http1", "http/1", "invalid content-type", "data frame with end_stream flag")
_HTTP_STATUS = re.compile(r"http2 header with status: (\d{3})")  # what gRPC makes of an answer without trailers
_AWAY = frozenset({429, 502, 503, 504})  # said by an ingress whose server is away or busy
_NO_KEY = frozenset({401, 403})
_TOO_LARGE = 413
_LOST = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})  # the latter: it ended under the call
_BROKEN_OFF = "received rst_stream with error code"  # what stands in between lost its own connection
_UNTRUSTED, _NO_TLS, _CLOSED = "certificate_verify_failed", "wrong_version_number", "socket closed"
_AUTHORITIES = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
_SIZE = ("larger than max", "message size", "message larger", "too large")


def _may_repeat(error: Any) -> bool:
    """Whether asking again is safe and may help: the server was away, or says when to come back."""
    if (status := _http_status(error)) is not None:
        return status in _AWAY
    away = error.code() in _LOST or _BROKEN_OFF in _details_of(error)
    return (away and not _speaks_http(error)) or _retry_delay(error) is not None


def _retry_delay(error: Any) -> float | None:
    """Seconds after which an overloaded server wants to be asked again; None if it says nothing of the kind."""
    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
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


def _details_of(error: Any) -> str:
    return (error.details() or "").lower()


def _speaks_http(error: Any) -> bool:
    text = _details_of(error)
    return any(sign in text for sign in _HTTP)


def _http_status(error: Any) -> int | None:
    """The HTTP status that came in place of gRPC's own: from an ingress, or a server of something else."""
    found = _HTTP_STATUS.search(_details_of(error))
    return None if found is None else int(found[1])


def explain(error: Any, url: str, *, model: str, key: bool, images: int = 0) -> DriverError:
    """What a failed call means: what is wrong and what to do, in one sentence, and whether to ask again."""
    return DriverError(
        _sentence(error, url, model, key, images),
        repeat=_may_repeat(error),
        delay=_retry_delay(error) or 0.0,
        out_of_time=error.code() == grpc.StatusCode.DEADLINE_EXCEEDED,
    )


def _sentence(error: Any, url: str, model: str, key: bool, images: int) -> str:
    said, name = _said(error), error.code().name
    if (status := _http_status(error)) is not None:
        return _http_sentence(status, url, said, key, images)
    if _speaks_http(error):
        return _other_server_sentence(url, said)
    if (sentence := _tls_sentence(url, _details_of(error))) is not None:
        return sentence
    sentences = {
        "CANCELLED": f"{url} went on breaking off what it was asked ({said}): see its log, or ask later.",
        "UNAVAILABLE": f"{url} does not answer ({said}): start the server, or check host and port{_or_tls(url, said)}.",
        "DEADLINE_EXCEEDED": f"{url} did not answer {images} images in time: give it more (timeout_seconds), or ask "
        "for fewer images a request.",
        "UNAUTHENTICATED": _key_sentence(url, key),
        "PERMISSION_DENIED": _key_sentence(url, key),
        "UNIMPLEMENTED": f"{url} speaks gRPC but not the Open Inference Protocol v2 ({said}): give the address of a "
        "server that does.",
        "NOT_FOUND": _model_sentence(url, model, said),
        "RESOURCE_EXHAUSTED": _exhausted_sentence(error, url, said, images),
    }
    return sentences.get(name, f"{url} refused {images} images ({name}): {said}.")


def _tls_sentence(url: str, details: str) -> str | None:
    """What to do where TLS did not come about; None where it is not about that."""
    if _UNTRUSTED in details:
        return (
            f"{url} shows a certificate that this machine does not trust for that name: set {_AUTHORITIES} to the file "
            "of its authority, and ask by a name that the certificate has."
        )
    if _NO_TLS in details:
        return f"{url} speaks no TLS: write grpc:// in place of grpcs://, or check the port."
    return None


def _or_tls(url: str, said: str) -> str:
    closed = _CLOSED in said.lower() and url.startswith("grpc://")
    return ", or write grpcs:// where the server speaks TLS" if closed else ""


def _http_sentence(status: int, url: str, said: str, key: bool, images: int) -> str:
    if status in _AWAY:
        return f"What stands before {url} went on answering HTTP {status}: see to the server behind it, or ask later."
    if status in _NO_KEY:
        return _key_sentence(url, key)
    if status == _TOO_LARGE:
        return _oversize_sentence(url, said, images)
    return _other_server_sentence(url, said)


def _other_server_sentence(url: str, said: str) -> str:
    return f"{url} is not a gRPC server but an HTTP or other one ({said}): give the gRPC port."


def _oversize_sentence(url: str, said: str, images: int) -> str:
    return f"{url} takes no message as large as one of {images} images ({said}): ask for fewer images a request."


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
    if _retry_delay(error) is not None:
        return f"{url} stayed overloaded ({said}): ask with fewer requests in flight, or later."
    if _is_oversize(error, said):
        return _oversize_sentence(url, said, images)
    return f"{url} refuses more ({said})."
