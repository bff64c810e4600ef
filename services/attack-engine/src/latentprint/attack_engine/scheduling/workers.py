"""Where tasks are made: by processes of Ray, or one after the other in this process."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from latentprint.attack_engine.scheduling.task import Task
from latentprint.core.errors import LatentprintError
from latentprint.core.ray_session import session
from latentprint.core.uncompiled import leave_compiler_out

Handle = Any  # of a task that was started
_RETRIES = 2  # of a task whose worker died


class TaskWorkers(Protocol):
    """Who makes tasks."""

    def session(self, processes: int) -> AbstractContextManager[None]:
        """What has to be open while tasks are made, `processes` at once.

        Raises:
            LatentprintError: on entry, there are none.
        """
        ...

    def share(self, value: Any) -> Callable[[], Any]:
        """A way to `value` that goes with tasks to whoever makes them."""
        ...

    def start(self, task: Task, side_by_side: int) -> Handle:
        """Have a task made, beside at most `side_by_side` - 1 of its kind."""
        ...

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, LatentprintError | None]]:
        """Tasks that ended, at most `seconds` later, with what a user can mend of those that failed."""
        ...

    def stop(self, handles: Sequence[Handle], seconds: float) -> None:
        """Stop tasks, and give them `seconds` to keep what they did."""
        ...


@dataclass(eq=False)
class _Queued:
    """A task that waits for its turn."""

    task: Task


class ThisProcess:
    """One task after the other, here; nothing travels, so that tasks may hold what cannot."""

    def session(self, processes: int) -> AbstractContextManager[None]:
        """See `TaskWorkers.session`: nothing."""
        del processes
        return nullcontext()

    def share(self, value: Any) -> Callable[[], Any]:
        """See `TaskWorkers.share`."""
        return lambda: value

    def start(self, task: Task, side_by_side: int) -> Handle:
        """See `TaskWorkers.start`: it is made when it is waited for."""
        del side_by_side
        return _Queued(task)

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, LatentprintError | None]]:
        """See `TaskWorkers.wait`: makes the first, however long it takes."""
        del seconds
        return [(handles[0], made(handles[0].task))]

    def stop(self, handles: Sequence[Handle], seconds: float) -> None:
        """See `TaskWorkers.stop`: what runs here was stopped by whatever stopped this process."""


class RayWorkers:
    """Processes of the Ray cluster that this process is connected to, that RAY_ADDRESS names, or of one of its own."""

    def session(self, processes: int) -> AbstractContextManager[None]:
        """See `TaskWorkers.session`; several in one start Ray once."""
        return ray_session(processes)

    def share(self, value: Any) -> Callable[[], Any]:
        """See `TaskWorkers.share`: by Ray's store."""
        import ray

        return _Stored(ray.put(value))

    def start(self, task: Task, side_by_side: int) -> Handle:
        """See `TaskWorkers.start`; a task on a GPU has its share of those that there are."""
        import ray

        gpus: float = ray.cluster_resources().get("GPU", 0.0) if task.on_gpu else 0.0
        share = min(1.0, gpus / side_by_side) if task.cores else 0.0
        return _remote().options(num_cpus=task.cores, num_gpus=share).remote(task)

    def wait(self, handles: Sequence[Handle], seconds: float) -> list[tuple[Handle, LatentprintError | None]]:
        """See `TaskWorkers.wait`."""
        import ray

        done, _ = ray.wait(list(handles), timeout=seconds)
        return [(handle, ray.get(handle)) for handle in done]

    def stop(self, handles: Sequence[Handle], seconds: float) -> None:
        """See `TaskWorkers.stop`."""
        import ray

        for handle in handles:
            ray.cancel(handle)
        if handles:
            ray.wait(list(handles), num_returns=len(handles), timeout=seconds)


def ray_session(processes: int = 2) -> AbstractContextManager[None]:
    """Use the Ray cluster this process is connected to, or that RAY_ADDRESS names; else start one and stop it after.

    Raises:
        LatentprintError: on entry, Ray does not start.
    """
    import ray

    return session(ray, processes)


class _Stored:
    """A value in Ray's store."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def __call__(self) -> Any:
        """The value."""
        import ray

        return ray.get(self._reference)


@cache
def _remote() -> Any:
    """`made` as a task of Ray's: it would keep only an error's text, and so errors travel as results."""
    import ray

    return ray.remote(max_retries=_RETRIES)(_made_apart)


def _made_apart(task: Task) -> LatentprintError | None:
    """Make a task in a process that has nothing else to do."""
    leave_compiler_out()
    return made(task)


def made(task: Task) -> LatentprintError | None:
    """Make a task; returns what a user can mend where it failed."""
    try:
        task.make()
    except LatentprintError as error:
        return error
    return None
