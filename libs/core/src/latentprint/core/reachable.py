"""Whether something answers, found out in seconds: for what would otherwise be waited for in minutes."""

import socket
from collections.abc import Container
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

PATIENCE = 3.0  # seconds
_HTTP_OK = 200
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
_EMPTY_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # length, type, flags and stream of a frame; RFC 9113, 4.1
_FRAME_TYPE, _SETTINGS = 3, b"\x04"


def place_of(url: str) -> SplitResult:
    """The parts of `url`; all empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:  # such as one bracket of an IPv6 address
        return SplitResult("", "", "", "", "")


def listens(place: SplitResult, usual_port: int) -> bool:
    """Whether a TCP port takes a connection."""
    try:
        socket.create_connection((place.hostname or "", place.port or usual_port), timeout=PATIENCE).close()
    except (OSError, ValueError):  # ValueError: what should be a port is no number
        return False
    return True


def http_problem(place: SplitResult, well: Container[int] = (_HTTP_OK,)) -> str:
    """What is wrong with a tracking server whose /health should answer with a status in `well`; "" for nothing."""
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    try:
        with closing(kind(place.hostname or "", place.port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"{place.path.rstrip('/')}/health")
            status = connection.getresponse().status
    except (OSError, ValueError, HTTPException) as error:
        return f"does not answer ({error})"
    return "" if status in well else f"answers its health check with status {status}"


def speaks_http2(place: SplitResult, usual_port: int) -> bool:
    """Whether a TCP port greets as an HTTP/2 server does, as every gRPC server: a port that hangs does not."""
    try:
        with socket.create_connection((place.hostname or "", place.port or usual_port), timeout=PATIENCE) as connection:
            connection.sendall(_HTTP2_PREFACE + _EMPTY_SETTINGS)
            return connection.recv(len(_EMPTY_SETTINGS), socket.MSG_WAITALL)[_FRAME_TYPE:][:1] == _SETTINGS
    except (OSError, ValueError):
        return False
