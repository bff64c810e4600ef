"""Ray for extractions: the cluster that is already there, or a quiet local one for as long as it is needed."""

from contextlib import AbstractContextManager

import ray
import ray.data  # brings the console handler that a session quiets

from latentprint.core.ray_session import session


def ray_session(workers: int = 2) -> AbstractContextManager[None]:
    """Use the Ray cluster this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Wrap several extractions in one session to start Ray once.

    Raises:
        LatentprintError: on entry, Ray does not start.
    """
    return session(ray, workers)
