"""TLS that does not come about: the sentence says what to change, and a server's log is not the callers' to fill."""

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.core.errors import EndpointError

FILES = ("certificate.pem", "key.pem")
BROKEN = 20


@pytest.fixture(scope="module")
def secured(tiny_bundle: Path, serve_for_module: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a certificate that nobody has reason to trust."""
    assert shutil.which("openssl"), "openssl makes the certificate"
    folder = tmp_path_factory.mktemp("pair")
    certificate, key = (folder / name for name in FILES)
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return serve_for_module(tiny_bundle, "--tls-cert", str(certificate), "--tls-key", str(key))


@pytest.fixture
def refused() -> Callable[[str], str]:
    def opened(url: str) -> str:
        with pytest.raises(EndpointError) as raised:
            EndpointSpec(url, connect_seconds=1.0).open()
        return str(raised.value)

    return opened


def test_a_certificate_that_is_not_trusted(secured: Any, refused: Callable[[str], str]) -> None:
    said = refused(secured.url.replace("grpc://", "grpcs://"))
    assert "a certificate that this machine does not trust" in said
    assert "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in said


def test_a_server_without_tls(served: Any, refused: Callable[[str], str]) -> None:
    assert "speaks no TLS: write grpc://" in refused(served.url.replace("grpc://", "grpcs://"))


def test_a_server_that_wants_tls(secured: Any, refused: Callable[[str], str]) -> None:
    assert "write grpcs://" in refused(secured.url)


def test_who_breaks_off_the_handshake_writes_no_line(secured: Any) -> None:
    log = secured.folder / "server.log"
    before = len(log.read_text().splitlines())
    for _ in range(BROKEN):
        with socket.create_connection(("127.0.0.1", secured.port), timeout=10) as caller:
            caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
            caller.settimeout(10)
            while caller.recv(1024):
                pass
    assert len(log.read_text().splitlines()) - before < BROKEN / 4
