"""A task on a machine that shares no disk with the one that asked for it: inputs are brought, results taken away."""

from functools import lru_cache
from typing import Any

from latentprint.attack_engine.scheduling.progress_board import Board
from latentprint.attack_engine.scheduling.task import Task
from latentprint.core.errors import LatentprintError
from latentprint.core.mirror import scratch
from latentprint.core.parcel import unpacked
from latentprint.core.storage import Storage
from latentprint.core.uncompiled import leave_compiler_out
from latentprint.core.upkeep import kept_up


def made_elsewhere(parcel: Any, storage: Storage, board: Board, key: str) -> LatentprintError | None:
    """Make a task that was packed on another machine, where it goes by `key`; returns what a user can mend."""
    leave_compiler_out()
    mirror = scratch(storage)
    try:
        task: Task = unpacked(parcel, mirror, lambda reference: _shared(reference, storage))
        if mirror.pull_whole(task.result) and task.finished:
            return None
        for place in (*task.reads, *task.work):
            mirror.pull(place)

        def keep_work() -> None:
            for place in task.work:
                mirror.push(place)

        def meanwhile() -> None:
            board.tell(key, task.progress())
            keep_work()

        def at_last() -> None:
            board.tell(key, None)
            if task.finished:
                mirror.push_whole(task.result)
            keep_work()

        with kept_up(meanwhile, at_last):
            task.make()
    except LatentprintError as error:
        return error
    return None


@lru_cache(maxsize=4)
def _shared(reference: Any, storage: Storage) -> Any:
    """A value that many tasks share: read once a process."""
    import ray

    return unpacked(ray.get(reference), scratch(storage), lambda further: _shared(further, storage))
