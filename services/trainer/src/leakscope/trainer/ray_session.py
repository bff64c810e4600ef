"""Ray: the session that is already there, or a quiet local one for as long as it is needed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from leakscope.core.errors import LeakscopeError, UsageError

_OBJECT_STORE_BYTES = 128 * 2**20  # only small records travel between processes
_QUIET = {
    "RAY_AUTH_MODE": "disabled",  # else a local start leaves a token that later clusters demand
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def ray_session(workers: int) -> Iterator[None]:
    """Use the Ray this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Raises:
        UsageError: Ray is not installed.
        LeakscopeError: Ray does not start.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        raise UsageError(
            f"Several workers need Ray Train ({error}): pip install 'leakscope-trainer[workers]', or take workers 1."
        ) from None
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    local = {
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    try:
        ray.init(**quiet, **({} if os.environ.get("RAY_ADDRESS") else local))
    except Exception as error:
        ray.shutdown()
        raise LeakscopeError(f"Ray did not start ({' '.join(str(error).split())[:200]}): try again.") from None
    try:
        yield
    finally:
        ray.shutdown()
