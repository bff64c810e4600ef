"""API keys: read from a file, asked for on every call but health checks."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc

from latentprint.core.errors import DataError
from latentprint.core.oip.names import AUTHORIZATION
from latentprint.encoder_server.health import SERVICE as HEALTH
from latentprint.encoder_server.refusals import unauthenticated

_SCHEME = "bearer "


def read_keys(path: Path) -> tuple[str, ...]:
    """The accepted keys, one a line; empty lines and lines that start with # are skipped.

    Raises:
        DataError: no such file, or no key in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"No such API key file: {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The API key file {path} cannot be read: {error}.") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise DataError(f"The API key file {path} holds no key: write one a line.")
    return keys


class KeyInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without a known key as UNAUTHENTICATED; health checks need none.

    Args:
        keys: accepted keys.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Let the call through. Raises `Refusal`, which the guard before this one sends."""
        if not details.method.startswith(f"/{HEALTH}/"):
            self._check(dict(details.invocation_metadata))
        return await continuation(details)

    def _check(self, metadata: Mapping[str, Any]) -> None:
        value = str(metadata.get(AUTHORIZATION, ""))
        if not value.lower().startswith(_SCHEME):
            raise unauthenticated("This server asks for an API key: send the metadata 'authorization: Bearer KEY'.")
        digest = _digest(value[len(_SCHEME) :].strip())
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if True not in matches:
            raise unauthenticated("The API key is not known here.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
