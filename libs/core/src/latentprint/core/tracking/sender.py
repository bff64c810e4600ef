"""Sending beside the work: one thread a store and root, whoever keeps something there."""

import os
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from latentprint.core.digests import digest_json
from latentprint.core.errors import LatentprintError
from latentprint.core.files import locked
from latentprint.core.tracking.delivery import Courier

PACE = "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS"
_PACE_SECONDS = 10.0  # a database commits several times each time
_FIRST_SECONDS = 1.0
_TAKING_OVER_SECONDS = 0.2


def is_sent_beside(unsent: Path, uri: str) -> bool:
    """Whether some process of this machine sends what is kept below `unsent` for the store at `uri`."""
    place = _place(unsent, uri)
    if not place.exists():
        return False
    with locked(place, 0) as free:
        return not free


def _place(unsent: Path, uri: str) -> Path:
    return unsent / f".{digest_json(uri)[:16]}.sender"


class Sender:
    """While it is entered, what is kept below `unsent` for the store at `uri` is sent at a pace, by a thread.

    Where another process does so already, this one stands by until that one ends.

    Args:
        unsent: folder of what is kept.
        uri: of the store.
    """

    def __init__(self, unsent: Path, uri: str) -> None:
        self._courier = Courier(unsent, uri)
        self._place = _place(unsent, uri)
        self._stopping, self._begun = Event(), Event()
        self._thread = Thread(target=self._run, name="latentprint-tracking", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def trouble(self) -> str:
        """Why the store cannot be used now, found out within seconds; "" where nothing is known against it."""
        return self._courier.problem()

    def stop(self) -> None:
        """Send no more; what is on its way is waited for."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pace, wait = _pace(), min(_FIRST_SECONDS, _pace())  # the first time soon: a run is looked for when it begins
        try:
            while not self._stopping.is_set():
                with locked(self._place, _TAKING_OVER_SECONDS) as in_charge:
                    self._begun.set()
                    while not self._stopping.wait(wait) and in_charge:
                        self._courier.send_waiting()
                        wait = pace
        except (OSError, LatentprintError):
            return  # a disk that takes nothing, or a damaged journal: who logs, and who sends at the end, tells of it
        finally:
            self._begun.set()


def _pace() -> float:
    """Seconds between two sendings, as MLflow's own asynchronous logging is told them."""
    try:
        return max(0.1, float(os.environ.get(PACE, "")))
    except ValueError:
        return _PACE_SECONDS
