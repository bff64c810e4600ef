"""Ray for several workers, where it is installed."""

from contextlib import AbstractContextManager

from latentprint.core.errors import UsageError
from latentprint.core.ray_session import session


def ray_session(workers: int) -> AbstractContextManager[None]:
    """Use the Ray this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Raises:
        UsageError: Ray Train is not installed.
        LatentprintError: on entry, Ray does not start.
    """
    try:
        import ray
        import ray.train.torch
    except ImportError as error:
        raise UsageError(
            f"Several workers need Ray Train ({error}): pip install 'latentprint-trainer[workers]', or take workers 1."
        ) from None
    return session(ray, workers)
