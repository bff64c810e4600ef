"""Where tasks are made: by processes of Ray, or one after the other in this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from latentprint.attack_engine.scheduling.elsewhere import made_elsewhere
from latentprint.attack_engine.scheduling.progress_board import Board, BoardReader
from latentprint.attack_engine.scheduling.task import Task, TaskProgress
from latentprint.core.errors import LatentprintError
from latentprint.core.mirror import Mirror
from latentprint.core.parcel import Shared, packed
from latentprint.core.ray_session import named_cluster, session
from latentprint.core.uncompiled import leave_compiler_out

Handle = Any  # of a task that was started
_RETRIES = 2  # of a task whose worker died


HERE = "127.0.0.1"


class TaskWorkers(Protocol):
    """Who makes tasks."""

    @property
    def host(self) -> str:
        """The address of this machine at which whoever makes tasks reaches what it serves; the session is open."""
        ...

    def is_finished(self, task: Task) -> bool:
        """Whether a task's result is there, and here."""
        ...

    def progress(self, task: Task) -> TaskProgress:
        """How far a task is that runs."""
        ...

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

    host = HERE

    def is_finished(self, task: Task) -> bool:
        """See `TaskWorkers.is_finished`."""
        return task.finished

    def progress(self, task: Task) -> TaskProgress:
        """See `TaskWorkers.progress`."""
        return task.progress()

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
    """Processes of the Ray cluster that this process is connected to, that RAY_ADDRESS names, or of one of its own.

    Args:
        mirror: of the folder of all runs; its workers share a storage with this machine, and no disk. None where they
            find everything under the paths that it has here.
    """

    def __init__(self, mirror: Mirror | None = None) -> None:
        self._mirror = mirror
        self._board: Board | None = None
        self._reader: BoardReader | None = None

    @contextmanager
    def session(self, processes: int) -> Iterator[None]:
        """See `TaskWorkers.session`; several in one start Ray once."""
        with ray_session(processes):
            if self._mirror is None or self._board is not None:
                yield
                return
            self._board = Board.opened()
            self._reader = self._board.reader()
            try:
                yield
            finally:
                self._board = self._reader = None

    @property
    def host(self) -> str:
        """See `TaskWorkers.host`."""
        import ray

        return str(ray.util.get_node_ip_address()) if self._mirror is not None or named_cluster() else HERE

    def is_finished(self, task: Task) -> bool:
        """See `TaskWorkers.is_finished`: what another machine made is brought here."""
        if task.finished or self._mirror is None:
            return task.finished
        self._mirror.pull_whole(task.result)
        return task.finished

    def progress(self, task: Task) -> TaskProgress:
        """See `TaskWorkers.progress`."""
        told = None if self._reader is None else self._reader.progress(task.key)
        return task.progress() if told is None else told

    def share(self, value: Any) -> Callable[[], Any]:
        """See `TaskWorkers.share`: by Ray's store."""
        import ray

        if self._mirror is None:
            return Shared(ray.put(value), ray.get)
        return Shared(ray.put(packed(value, self._mirror)), lambda _: value)

    def start(self, task: Task, side_by_side: int) -> Handle:
        """See `TaskWorkers.start`; a task on a GPU has its share of those that there are."""
        import ray

        gpus: float = ray.cluster_resources().get("GPU", 0.0) if task.on_gpu else 0.0
        share = min(1.0, gpus / side_by_side) if task.cores else 0.0
        needed = {"num_cpus": task.cores, "num_gpus": share}
        if self._mirror is None:
            return _remote(_made_apart).options(**needed).remote(task)
        elsewhere = _remote(made_elsewhere).options(**needed, scheduling_strategy="SPREAD")
        return elsewhere.remote(packed(task, self._mirror), self._mirror.storage, self._board, task.key)

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


@cache
def _remote(function: Callable[..., Any]) -> Any:
    """What makes a task, as one of Ray's: it would keep only an error's text, and so errors travel as results."""
    import ray

    return ray.remote(max_retries=_RETRIES)(function)


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
