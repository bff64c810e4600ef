"""The query budget: one durable ledger that every worker leases from, and that a killed run leaves intact."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from latentprint.attack_engine.asking.endpoint import Counts
from latentprint.core.errors import BudgetError, DataError
from latentprint.core.mirror import mirror_of

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS requests (scope TEXT, id TEXT, images INTEGER, charged INTEGER, asked INTEGER, "
    "answered INTEGER, state INTEGER, PRIMARY KEY (scope, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tallies (scope TEXT PRIMARY KEY, cached INTEGER, retried INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS client (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT)",
)
_CLOSED, _LEASED, _SENT = 0, 1, 2


@dataclass(frozen=True)
class LedgerSpec:
    """Where a ledger is and how many images it allows (None: any number); opened where it is needed.

    Attributes:
        path: a file on a local disk, shared by processes; None keeps the ledger in memory, for one process alone.
        budget: images that may be asked in all.
    """

    path: Path | None = None
    budget: int | None = None

    def open(self) -> "Ledger":
        """Open it, making it if need be: where the folder of its file is mirrored, the one that the whole cluster asks.

        Raises:
            DataError: a file that is not a ledger; a storage or a cluster that does not answer.
        """
        mirror = None if self.path is None else mirror_of(self.path)
        if mirror is None:
            return Ledger(self)
        from latentprint.attack_engine.asking.ledger_service import SharedLedger

        return SharedLedger(self, mirror)


class Ledger:
    """Leases on a budget of images, kept in SQLite, safe between threads and processes.

    Requests are leased by id before the first of them is sent, and each is marked before it is sent and when it is
    answered. A run killed with requests in flight takes up the very same lease when it asks them again: to an
    idempotent endpoint that is no new question; at any other, what may have reached it is charged again.
    """

    def __init__(self, spec: LedgerSpec, content: str = "") -> None:
        """With `content`, what `dump` gave."""
        self.spec = spec
        self._lock = threading.Lock()
        if spec.path is not None:
            spec.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            spec.path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False
        )
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(content)
            with self._transaction():
                for statement in _SCHEMA:
                    self._database.execute(statement)
                self._database.execute("INSERT OR IGNORE INTO client VALUES (1, ?)", (uuid4().hex,))
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise DataError(f"{spec.path} is not a query ledger ({error}): give another path or remove it.") from None

    def lease(self, scope: str, requests: Mapping[str, int], *, idempotent: bool) -> "Lease":
        """Set aside the budget for `requests` (id to number of images) before any of them is sent.

        Raises:
            BudgetError: the budget does not cover them all; none is set aside.
        """
        self.set_aside(scope, requests, idempotent=idempotent)
        return Lease(self, scope, requests, idempotent)

    def set_aside(self, scope: str, requests: Mapping[str, int], *, idempotent: bool) -> None:
        """What `lease` does to the ledger."""
        with self._transaction():
            states = {name: self._state(scope, name) for name in requests}
            resumed = {n for n, state in states.items() if state == _LEASED or (state == _SENT and idempotent)}
            self._refuse_beyond_budget(sum(images for name, images in requests.items() if name not in resumed))
            for name in requests.keys() - resumed:
                self._charge(scope, name, requests[name], _LEASED)

    def sending(self, scope: str, name: str, images: int, *, idempotent: bool) -> bool:
        """Mark a leased request as about to be sent; returns whether it may have been sent before.

        Raises:
            BudgetError: it must be charged again and the budget does not cover it.
        """
        with self._transaction():
            state = self._state(scope, name)
            if state == _CLOSED or (state == _SENT and not idempotent):
                self._refuse_beyond_budget(images)
                self._charge(scope, name, images, _SENT)
            first = 0 if state == _SENT else 1
            self._database.execute(
                "UPDATE requests SET state = ?, asked = asked + ? WHERE scope = ? AND id = ?",
                (_SENT, first, scope, name),
            )
            if state == _SENT:
                self._tally(scope, retried=images)
        return state == _SENT

    def answered(self, scope: str, name: str) -> None:
        """Mark a sent request as answered; one that was marked before is left as it is."""
        with self._transaction():
            self._database.execute(
                "UPDATE requests SET state = ?, answered = answered + 1 WHERE scope = ? AND id = ? AND state = ?",
                (_CLOSED, scope, name, _SENT),
            )

    def kept(self, scope: str, requests: Mapping[str, int]) -> None:
        """Tally `requests` (id to images) as taken from kept answers; closes those that a killed run left open."""
        with self._transaction():
            self._tally(scope, cached=sum(requests.values()))
            self._database.executemany(
                "UPDATE requests SET state = ?, answered = answered + 1 WHERE scope = ? AND id = ? AND state = ?",
                [(_CLOSED, scope, name, _SENT) for name in requests],
            )

    def give_back(self, scope: str, names: Mapping[str, int]) -> None:
        """Return what was leased for requests that were not sent."""
        with self._transaction():
            self._database.executemany(
                "UPDATE requests SET state = ?, charged = charged - images WHERE scope = ? AND id = ? AND state = ?",
                [(_CLOSED, scope, name, _LEASED) for name in names],
            )

    def require(self, images: int) -> None:
        """Raise `BudgetError` unless `images` more are covered; sets nothing aside."""
        with self._lock:
            self._refuse_beyond_budget(images)

    @property
    def client(self) -> str:
        """A random name, the same for all who share this ledger: whose the request ids are."""
        with self._lock:
            return str(self._database.execute("SELECT name FROM client").fetchone()[0])

    @property
    def spent(self) -> int:
        """Images charged so far over all scopes, open leases included."""
        with self._lock:
            return self._spent()

    @property
    def left(self) -> int | None:
        """Images that may still be asked; None without a budget."""
        return None if self.spec.budget is None else max(self.spec.budget - self.spent, 0)

    def unfinished(self, scope: str, *, idempotent: bool) -> int:
        """Images charged to requests of `scope` that a run left unanswered and that asking again does not charge."""
        free = (_LEASED, _SENT) if idempotent else (_LEASED, _LEASED)
        with self._lock:
            row = self._database.execute(
                "SELECT TOTAL(images) FROM requests WHERE scope = ? AND state IN (?, ?)", (scope, *free)
            ).fetchone()
        return int(row[0])

    def counts(self, scope: str) -> Counts:
        """Images sent, answered, cached and retried under `scope`, over all runs and workers."""
        with self._lock:
            sent, answered = self._database.execute(
                "SELECT TOTAL(images * asked), TOTAL(images * answered) FROM requests WHERE scope = ?", (scope,)
            ).fetchone()
            cached, retried = self._database.execute(
                "SELECT TOTAL(cached), TOTAL(retried) FROM tallies WHERE scope = ?", (scope,)
            ).fetchone()
        return Counts(int(sent), int(answered), int(cached), int(retried))

    def dump(self) -> str:
        """All of it, as SQL."""
        with self._lock:
            return "\n".join(self._database.iterdump())

    @property
    def requests(self) -> int:
        """Requests that it knows of."""
        with self._lock:
            return int(self._database.execute("SELECT COUNT(*) FROM requests").fetchone()[0])

    def _state(self, scope: str, name: str) -> int:
        row = self._database.execute("SELECT state FROM requests WHERE scope = ? AND id = ?", (scope, name)).fetchone()
        return _CLOSED if row is None else int(row[0])

    def _spent(self) -> int:
        return int(self._database.execute("SELECT TOTAL(charged) FROM requests").fetchone()[0])

    def _charge(self, scope: str, name: str, images: int, state: int) -> None:
        self._database.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, 0, 0, ?) ON CONFLICT DO UPDATE "
            "SET charged = charged + excluded.charged, state = excluded.state",
            (scope, name, images, images, state),
        )

    def _tally(self, scope: str, cached: int = 0, retried: int = 0) -> None:
        self._database.execute(
            "INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
            "SET cached = cached + excluded.cached, retried = retried + excluded.retried",
            (scope, cached, retried),
        )

    def _refuse_beyond_budget(self, images: int) -> None:
        budget, spent = self.spec.budget, self._spent()
        if budget is not None and images and spent + images > budget:
            raise BudgetError(
                f"{images:,} more images were about to be asked, but {max(budget - spent, 0):,} of the budget of "
                f"{budget:,} are left ({spent:,} spent); none of them was sent. Raise the budget to at least "
                f"{spent + images:,}, or ask for fewer samples or fewer queries a sample."
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield
                self._database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise DataError(
                    f"The query ledger {self.spec.path} cannot be written ({error}): make room, or let other runs on "
                    "it end, and run the same command again to go on."
                ) from None
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Lease:
    """Budget set aside for some requests; closing it gives back what was not sent."""

    def __init__(self, ledger: Ledger, scope: str, requests: Mapping[str, int], idempotent: bool) -> None:
        self._ledger = ledger
        self._scope = scope
        self._requests = dict(requests)
        self._idempotent = idempotent

    def sending(self, name: str) -> bool:
        """Mark one request as about to be sent, the first time or again; returns whether again. See `Ledger`."""
        return self._ledger.sending(self._scope, name, self._requests[name], idempotent=self._idempotent)

    def answered(self, name: str) -> None:
        """Mark one request as answered."""
        self._ledger.answered(self._scope, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.give_back(self._scope, self._requests)
