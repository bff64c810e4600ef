"""Ray: the cluster that is already there, or a quiet local one for as long as it is needed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray.data

from leakscope.core.errors import LeakscopeError

_TRIES = 3
_OBJECT_STORE_BYTES = 128 * 2**20  # only small counts travel between processes


@contextmanager
def ray_session(workers: int = 2) -> Iterator[None]:
    """Use the Ray cluster this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Wrap several extractions in one session to start Ray once.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else a local start leaves a token that later clusters demand
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    _silence_console()
    if os.environ.get("RAY_ADDRESS"):
        _start(**quiet)
    else:
        cores = max(workers, os.cpu_count() or 1)
        _start(num_cpus=cores, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _start(**options: Any) -> None:
    """Start or join Ray, trying again where a busy machine let its own limit of half a minute pass."""
    for _ in range(_TRIES):
        try:
            ray.init(**options)
            return
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    raise LeakscopeError(
        f"Ray did not start in {_TRIES} tries of half a minute: this machine is too busy; run the same command again "
        "when it is quieter."
    )


def _silence_console() -> None:
    """Ray Data writes its log to the session's folder; whatever matters of it reaches the user as an error."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
