"""Ray: the session that is already there, or a quiet local one for as long as it is needed.

Whoever needs Ray hands it in: nothing here imports it, so what shares this package can do without.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from latentprint.core.errors import LatentprintError, UsageError
from latentprint.core.reachable import place_of, speaks_http2
from latentprint.core.text import printable

_TRIES = 3
_OBJECT_STORE_BYTES = 128 * 2**20  # only small records travel between processes
_ADDRESS, _LOCAL, _GCS = "RAY_ADDRESS", "local", "gcs"
_HEAD_PORT, _CLIENT_PORT = 6379, 10001
_FOUND_BY_RAY = "auto"
_OPEN = {"RAY_AUTH_MODE": "disabled"}  # else a local start leaves a token that later clusters demand
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def session(ray: ModuleType, workers: int) -> Iterator[None]:
    """Use the Ray this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    A cluster that runs on this machine and that nobody named is left alone.

    Args:
        ray: the module `ray`.
        workers: processes that must fit on this machine at once, where a local one is started.

    Raises:
        LatentprintError: Ray does not start, or nothing answers at RAY_ADDRESS.
    """
    if ray.is_initialized():
        yield
        return
    named = named_cluster()
    for name, value in (_QUIET if named else _QUIET | _OPEN).items():
        os.environ.setdefault(name, value)
    _silence_console()
    require_cluster()
    _start(ray, {"address": named} if named else _local(workers))
    try:
        yield
    finally:
        ray.shutdown()


def named_cluster() -> str:
    """The cluster that the user named; "" for none."""
    address = os.environ.get(_ADDRESS, "")
    return "" if address == _LOCAL else address


def _local(workers: int) -> dict[str, Any]:
    return {
        "address": _LOCAL,  # without it Ray joins whatever the last `ray start` on this machine left
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }


def require_cluster() -> None:
    """Find out in seconds whether the cluster that RAY_ADDRESS names is there; Ray itself would ask it for minutes.

    Raises:
        UsageError: RAY_ADDRESS is no address.
        LatentprintError: nothing answers there.
    """
    address = named_cluster()
    if address in ("", _FOUND_BY_RAY):
        return
    place = place_of(address if "://" in address else f"{_GCS}://{address}")
    ports = {_GCS: _HEAD_PORT, "ray": _CLIENT_PORT}
    if place.scheme not in ports:
        raise UsageError(f"{_ADDRESS}={printable(address)} names no Ray cluster: write HOST:PORT or ray://HOST:PORT.")
    if not speaks_http2(place, ports[place.scheme]):
        raise LatentprintError(
            f"No Ray cluster answers at {_ADDRESS}={printable(address)}: start it, or unset {_ADDRESS} to run on this "
            "machine."
        )


def _start(ray: ModuleType, options: dict[str, Any]) -> None:
    """Start or join Ray, trying again where a busy machine let its own limit of half a minute pass."""
    for _ in range(_TRIES):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise LatentprintError(
                    f"Ray did not start ({printable(' '.join(str(error).split()))}): try again."
                ) from error
    raise LatentprintError(
        f"Ray did not start in {_TRIES} tries of half a minute: this machine is too busy; run the same command again "
        "when it is quieter."
    )


def _silence_console() -> None:
    """Ray Data writes its log to the session's folder; whatever matters of it reaches the user as an error."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
