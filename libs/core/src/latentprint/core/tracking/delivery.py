"""Sending what is kept: one process at a time, and not again and again to a store that does not answer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentprint.core.digests import digest_json
from latentprint.core.files import locked, write_atomically
from latentprint.core.text import SENTENCE_LENGTH, printable
from latentprint.core.tracking import databases, journal
from latentprint.core.tracking.journal import Address, Journal, journals, without_password

_REST_SECONDS = 30.0
_PATIENT_SECONDS = 30.0
_FAILURES = 1


@dataclass(frozen=True)
class Delivery:
    """What came of sending.

    Attributes:
        uri: of the store, without a password.
        runs: that were sent to the end of what was kept.
        kept: runs that still have something to be sent.
        problem: why; "" where nothing is kept.
        notes: sentences for the user.
    """

    uri: str
    runs: int = 0
    kept: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


def unsent_folder(root: Path) -> Path:
    """Where the runs below `root` keep what is not sent."""
    return root.resolve() / "mlflow" / "unsent"


class Courier:
    """Sends what is kept below `unsent` to the store at `uri`."""

    def __init__(self, unsent: Path, uri: str) -> None:
        self._unsent = unsent
        self._uri = uri
        self._notes = unsent / ".notes"
        self._failure = unsent / f".{digest_json(uri)[:16]}.failed"

    @property
    def resting(self) -> str:
        """Why the store was not to be used a moment ago, by any process; "" where it is worth a try."""
        try:
            ago = time.time() - self._failure.stat().st_mtime
            return self._failure.read_text(encoding="utf-8") if 0 <= ago < _REST_SECONDS else ""
        except FileNotFoundError:
            return ""

    def problem(self) -> str:
        """Why the store cannot be used now; "" where it can. Every process takes note."""
        reason = self.resting
        if not reason:
            reason = databases.problem(self._uri)
            self._remember(reason)
        return reason

    def has_finished(self, address: Address) -> bool:
        """Whether the store is known to hold the run at `address`, finished."""
        if self.problem():
            return False
        from latentprint.core.tracking import store  # MLflow takes a second to import: only for what is to be sent

        try:
            return store.has_finished(store.connect(self._uri), address)
        except Exception as error:
            self._remember(_failed(error))
            return False

    def send(self, one: Journal) -> None:
        """Send one journal's entries, if the store is not resting and nobody else is sending."""
        if not self.resting:
            with locked(self._unsent / ".sending", 0) as held:
                if held:
                    self._send([one])

    def send_waiting(self) -> None:
        """Send everything for this store, if it is not resting and nobody else is sending.

        Raises:
            DataError: a journal is damaged.
        """
        if not self.resting:
            with locked(self._unsent / ".sending", 0) as held:
                waiting = self._waiting() if held else []
                if waiting:
                    self._send(waiting)

    def send_all(self) -> Delivery:
        """Send everything for this store, whoever kept it, and say what there is to say of what was sent before."""
        with locked(self._unsent / ".sending", _PATIENT_SECONDS) as held:
            waiting = self._waiting()
            reason = "is being sent to by another process"
            if held and waiting:
                reason = self._send(waiting)
            kept = sum(any(one.pending()) for one in waiting)
            return Delivery(
                without_password(self._uri), len(waiting) - kept, kept, reason if kept else "", self._noted()
            )

    def _waiting(self) -> list[Journal]:
        return [one for one in journals(self._unsent) if one.address.uri == self._uri]

    def _send(self, waiting: list[Journal]) -> str:
        """Send journals, past one that fails; where more fail, the store is at fault. Returns why something is kept."""
        reason, failures = databases.problem(self._uri), 0
        for one in [] if reason else waiting:
            failed = self._send_one(one)
            reason, failures = failed or reason, failures + bool(failed)
            if failures > _FAILURES:
                break
        self._remember(reason)
        return reason

    def _send_one(self, one: Journal) -> str:
        """Send one journal's entries; returns what failed, whatever it was: the journal keeps what was not taken."""
        from latentprint.core.tracking import store

        entries = list(one.pending())
        try:
            for sent in store.send(store.connect(self._uri), one.address, entries, self._note) if entries else ():
                one.mark_sent(sent)
        except Exception as error:
            return _failed(error)
        if entries and entries[-1].kind == journal.END:
            one.tidy()
        return ""

    def _remember(self, reason: str) -> None:
        if reason:
            write_atomically(self._failure, reason.encode())
        else:
            self._failure.unlink(missing_ok=True)

    def _note(self, sentence: str) -> None:
        """Keep a sentence for the user: a worker has nobody to tell it to."""
        with self._notes.open("a", encoding="utf-8") as stream:
            stream.write(f"{printable(sentence, SENTENCE_LENGTH)}\n")

    def _noted(self) -> tuple[str, ...]:
        try:
            return tuple(self._notes.read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return ()
        finally:
            self._notes.unlink(missing_ok=True)


def _failed(error: Exception) -> str:
    return f"failed ({printable(' '.join(str(error).split()))})"


def deliver_all(root: Path) -> Iterator[Delivery]:
    """Send everything that is kept below `root`, store by store. Raises `DataError` for a damaged journal."""
    unsent = unsent_folder(root)
    for uri in dict.fromkeys(one.address.uri for one in journals(unsent)):
        yield Courier(unsent, uri).send_all()
