"""What lies between: an ingress that answers HTTP for a while, and proxies that the environment names."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from latentprint.attack_engine.asking import EndpointSpec, LedgerSpec
from latentprint.attack_engine.asking.drivers.grpc import parse_address
from latentprint.core.bundles import open_bundle
from latentprint.core.errors import EndpointError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING = 0, 1, 3, 4, 6
_INTERNAL_ERROR = 2
_BREAK_OFF = 0  # in place of an HTTP status: the stream is reset
_END_STREAM = _ACK = 1
_END_HEADERS = 4


def _images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _header(name: bytes, value: bytes) -> bytes:
    """A header field of HPACK's plainest kind (RFC 7541, 6.2.2): literal, not indexed."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class _Ingress:
    """Speaks HTTP/2 before a gRPC server: answers `status` as a page while it is set, else lets connections through.

    A connection begun while it answers pages gets nothing else, and is closed at the first frame after that.
    """

    def __init__(self, target: int = 0) -> None:
        self.status: int | None = None
        self.pages = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fail(self, status: int, seconds: float) -> None:
        """Answer `status` from now on, on new connections too, for so long."""
        self.status = status
        self.drop()
        threading.Timer(seconds, setattr, (self, "status", None)).start()

    def drop(self) -> None:
        while self._open:
            _cut(self._open.pop())

    def close(self) -> None:
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            serve = self._forward if self.status is None else self._answer
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self._target))
        self._open += [near, far]
        threading.Thread(target=_pump, args=(far, near), daemon=True).start()
        _pump(near, far)

    def _answer(self, connection: socket.socket) -> None:
        connection.sendall(_frame(_SETTINGS, 0, 0, b""))
        with connection, connection.makefile("rb") as stream:
            assert stream.read(len(_PREFACE)) == _PREFACE
            while (head := stream.read(9)) and self.status is not None:
                payload = stream.read(int.from_bytes(head[:3], "big"))
                kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
                if kind in (_SETTINGS, _PING) and not flags & _ACK:
                    connection.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
                if kind == _HEADERS:  # as ingresses do, without waiting for the rest of the request
                    connection.sendall(self._page(number))

    def _page(self, stream: int) -> bytes:
        self.pages += 1
        if self.status == _BREAK_OFF:
            return _frame(_RESET, 0, stream, _INTERNAL_ERROR.to_bytes(4, "big"))
        headers = _header(b":status", str(self.status).encode()) + _header(b"content-type", b"text/html")
        return _frame(_HEADERS, _END_HEADERS, stream, headers) + _frame(_DATA, _END_STREAM, stream, b"<html>")


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes from one side to the other until either is closed."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        _cut(sink)


def _cut(connection: socket.socket) -> None:
    """End a connection that another thread may be reading: that thread's read returns as well."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture
def ingress(served: Any) -> Iterator[_Ingress]:
    before = _Ingress(served.port)
    yield before
    before.close()


@pytest.mark.slow
@pytest.mark.parametrize(("status", "seconds"), [(503, 3.0), (502, 1.0), (504, 1.0), (429, 1.0), (_BREAK_OFF, 1.0)])
def test_an_ingress_that_answers_http_for_a_while_is_waited_for(
    served: Any, ingress: _Ingress, status: int, seconds: float
) -> None:
    expected = open_bundle(served.bundle)[0].answer(_images(8, 1), ("embedding",))["embedding"]
    ingress.fail(status, seconds)
    with LedgerSpec(budget=1000).open() as ledger:
        spec = EndpointSpec(f"grpc://127.0.0.1:{ingress.port}/tiny", images_per_request=8, connect_seconds=60.0)
        with spec.open(ledger) as endpoint:
            assert ingress.pages > 0
            endpoint.query(_images(8), ("embedding",))
            ingress.fail(status, seconds)
            answer = endpoint.query(_images(8, 1), ("embedding",))["embedding"]
            counts = endpoint.counts
    assert (counts.sent, counts.answered) == (16, 16)
    assert counts.retried >= 8
    assert counts.retried % 8 == 0
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants an API key"),
        (403, "wants an API key"),
        (200, "not a gRPC server but an HTTP"),
        (302, "not a gRPC server but an HTTP"),
        (404, "not a gRPC server but an HTTP"),
        (413, "fewer images a request"),
        (500, "not a gRPC server but an HTTP"),
    ],
)
def test_an_http_status_that_stays_is_asked_once_and_told_in_one_sentence(status: int, words: str) -> None:
    ingress = _Ingress()
    ingress.status = status
    with pytest.raises(EndpointError, match=words):
        EndpointSpec(f"grpc://127.0.0.1:{ingress.port}/m").open()
    assert ingress.pages == 1
    ingress.close()


def test_a_key_that_an_ingress_refuses_is_told_as_the_servers_own_refusal(tmp_path: Path) -> None:
    ingress = _Ingress()
    ingress.status = 403
    (tmp_path / "key").write_text("sesame")
    with pytest.raises(EndpointError, match="refuses this API key"):
        EndpointSpec(f"grpc://127.0.0.1:{ingress.port}/m", api_key_file=str(tmp_path / "key")).open()
    ingress.close()


def test_an_ingress_that_stays_away_is_told_with_its_status() -> None:
    ingress = _Ingress()
    ingress.status = 503
    with pytest.raises(EndpointError, match="went on answering HTTP 503"):
        EndpointSpec(f"grpc://127.0.0.1:{ingress.port}/m", connect_seconds=1.0).open()
    assert ingress.pages > 1
    ingress.close()


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("grpc://127.0.0.1:1", True),
        ("grpc://127.8.9.1:1/m", True),
        ("grpcs://[::1]:1", True),
        ("grpc://localhost:1", True),
        ("grpc://models.localhost:1", True),
        ("grpc://10.0.0.1:1", False),
        ("grpc://[fe80::1]:1", False),
        ("grpc://localhost.example.org:1", False),
    ],
)
def test_which_addresses_are_this_machines_own(url: str, loopback: bool) -> None:
    assert parse_address(url).loopback == loopback


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a proxy that lets nobody through, and the first lines of what it was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(4096).split(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=refuse, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    listener.close()


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_no_proxy_is_asked_the_way_to_this_machine(
    served: Any, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, proxy[0])
    for host in ("127.0.0.1", "localhost"):
        with EndpointSpec(f"grpc://{host}:{served.port}/tiny").open() as endpoint:
            assert endpoint.query(_images(2), ("embedding",))["embedding"].shape == (2, 32)
    assert proxy[1] == []
    with pytest.raises(EndpointError):
        EndpointSpec(f"grpc://192.0.2.1:{served.port}/tiny", connect_seconds=0.1).open()
    assert proxy[1][0] == f"CONNECT 192.0.2.1:{served.port} HTTP/1.1".encode()


@pytest.mark.slow
def test_a_dead_proxy_does_not_hinder(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, dead)
    monkeypatch.delenv("no_proxy", raising=False)
    with EndpointSpec(served.url, connect_seconds=1.0).open() as endpoint:
        assert endpoint.query(_images(2), ("embedding",))["embedding"].shape == (2, 32)
