"""Ray: the cluster that is already there, or a quiet local one for as long as it is needed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray.data

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
        ray.init(**quiet)
    else:
        cores = max(workers, os.cpu_count() or 1)
        ray.init(num_cpus=cores, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _silence_console() -> None:
    """Ray Data writes its log to the session's folder; whatever matters of it reaches the user as an error."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
