"""TLS with the certificate as it lies on disk now, so that a renewed one is served without a restart."""

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc

from latentprint.core.errors import DataError

_log = logging.getLogger(__name__)


class Certificate:
    """A certificate and its key, read anew at every handshake.

    Args:
        certificate: PEM file of the chain, the server's own first.
        key: PEM file of its private key, without a password.

    Raises:
        DataError: one is missing, or they are not a pair.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._served = self._read()

    def credentials(self) -> Any:
        """What a gRPC server is bound with."""
        return grpc.dynamic_ssl_server_credentials(_configuration(*self._served), self._renewed, False)

    def _renewed(self) -> Any:
        """The pair that lies there now; None where it is the one that is served, or not whole yet."""
        try:
            found = self._read()
        except DataError as error:
            _log.warning("The renewed certificate is not taken yet: %s", error)
            return None
        if found == self._served:
            return None
        self._served = found
        _log.info("A renewed certificate is served.")
        return _configuration(*found)

    def _read(self) -> tuple[bytes, bytes]:
        certificate, key = self._files
        for flag, path in (("--tls-cert", certificate), ("--tls-key", key)):
            if not path.is_file():
                raise DataError(f"{flag} {path}: there is no such file.")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
            return certificate.read_bytes(), key.read_bytes()
        except (ssl.SSLError, OSError) as error:
            raise DataError(
                f"{certificate} and {key} are not a certificate and its key in PEM, the key without a password: {error}"
            ) from error


def _configuration(certificate: bytes, key: bytes) -> Any:
    return grpc.ssl_server_certificate_configuration([(key, certificate)])
