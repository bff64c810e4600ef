"""How far tasks on other machines are: told to one actor of the cluster, and read from it."""

import time
from typing import Any

from latentprint.attack_engine.scheduling.task import TaskProgress

_READ_SECONDS = 1.0


class Board:
    """Holds the last word of every task; small, and goes with tasks to whoever makes them.

    What is told is not waited for, and what was told last is enough: where the actor is lost, tasks tell it anew.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    def opened(cls) -> "Board":
        """A new one, on the Ray that this process is connected to."""
        import ray

        return cls(ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(_Words).remote())

    def tell(self, key: str, progress: TaskProgress | None) -> None:
        """Say how far a task is; None once it has ended."""
        self._actor.tell.remote(key, progress)

    def reader(self) -> "BoardReader":
        """What reads it now and then."""
        return BoardReader(self._actor)


class BoardReader:
    """Reads a board, no more often than once a second and without waiting for it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._known: dict[str, TaskProgress] = {}
        self._asked: Any = None
        self._next = 0.0

    def progress(self, key: str) -> TaskProgress | None:
        """The last that is known of a task; None where nothing is."""
        self._look()
        return self._known.get(key)

    def _look(self) -> None:
        import ray

        if self._asked is None:
            if time.monotonic() < self._next:
                return
            self._asked = self._actor.all.remote()
        if not ray.wait([self._asked], timeout=0)[0]:
            return
        asked, self._asked, self._next = self._asked, None, time.monotonic() + _READ_SECONDS
        try:
            self._known = ray.get(asked)
        except ray.exceptions.RayError:  # it is being restarted
            return


class _Words:
    """The actor."""

    def __init__(self) -> None:
        self._words: dict[str, TaskProgress] = {}

    def tell(self, key: str, progress: TaskProgress | None) -> None:
        """Keep the last word of a task."""
        if progress is None:
            self._words.pop(key, None)
        else:
            self._words[key] = progress

    def all(self) -> dict[str, TaskProgress]:
        """The last words of those that run."""
        return self._words
