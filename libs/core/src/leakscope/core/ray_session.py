"""Ray: the session that is already there, or a quiet local one for as long as it is needed.

Whoever needs Ray hands it in: nothing here imports it, so what shares this package can do without.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from leakscope.core.errors import LeakscopeError

_TRIES = 3
_OBJECT_STORE_BYTES = 128 * 2**20  # only small records travel between processes
_QUIET = {
    "RAY_AUTH_MODE": "disabled",  # else a local start leaves a token that later clusters demand
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def session(ray: ModuleType, workers: int) -> Iterator[None]:
    """Use the Ray this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Args:
        ray: the module `ray`.
        workers: processes that must fit on this machine at once, where a local one is started.

    Raises:
        LeakscopeError: Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    _silence_console()
    local = {
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    _start(ray, {} if os.environ.get("RAY_ADDRESS") else local)
    try:
        yield
    finally:
        ray.shutdown()


def _start(ray: ModuleType, options: dict[str, Any]) -> None:
    """Start or join Ray, trying again where a busy machine let its own limit of half a minute pass."""
    for _ in range(_TRIES):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise LeakscopeError(f"Ray did not start ({' '.join(str(error).split())[:200]}): try again.") from error
    raise LeakscopeError(
        f"Ray did not start in {_TRIES} tries of half a minute: this machine is too busy; run the same command again "
        "when it is quieter."
    )


def _silence_console() -> None:
    """Ray Data writes its log to the session's folder; whatever matters of it reaches the user as an error."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
