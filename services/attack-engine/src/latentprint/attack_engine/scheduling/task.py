"""What a worker makes: a model, a shard of answers, a fitted attack."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ASKING, FITTING, MAKING = "asking", "fitting", "making"  # kinds of work, each with a limit of its own


@dataclass(frozen=True)
class TaskProgress:
    """How far a task is, in units that its title says nothing of.

    Attributes:
        done: units that are done.
        total: units in all; None while that is not known.
        unit: what is counted, in the plural.
    """

    done: float = 0.0
    total: float | None = 1.0
    unit: str = ""


class Task(Protocol):
    """Small and picklable; where its result lies is known before it is made."""

    @property
    def key(self) -> str:
        """Names it: of two tasks with one key, one is made."""
        ...

    @property
    def title(self) -> str:
        """What it is called while it runs; tasks of one title share a bar."""
        ...

    @property
    def limit(self) -> str:
        """Which kind of work it is: `ASKING`, `FITTING` or `MAKING`."""
        ...

    @property
    def cores(self) -> float:
        """That it keeps busy; 0 where it has workers of its own."""
        ...

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU where there is one."""
        ...

    @property
    def needs(self) -> Sequence["Task"]:
        """What has to be finished first."""
        ...

    @property
    def reads(self) -> Sequence[Path]:
        """Files and folders that it is made from; another machine brings them to its own disk first."""
        ...

    @property
    def work(self) -> Sequence[Path]:
        """What it leaves while it is made and goes on from: files, folders, or a name with a * for several files."""
        ...

    @property
    def result(self) -> Path:
        """The file or folder that it ends in, which changes no more."""
        ...

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        ...

    def progress(self) -> TaskProgress:
        """How far it is, read from another process while it runs."""
        ...

    def make(self) -> None:
        """Make it, or go on where it was stopped. Raises `LatentprintError` for what a user can mend."""
        ...
