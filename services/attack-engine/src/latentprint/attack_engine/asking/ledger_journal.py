"""A ledger in memory whose changes are written to a storage, several at a time, by the one who owns it."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.core.errors import DataError, LatentprintError
from latentprint.core.storage import Storage

Change = tuple[str, dict[str, Any]]  # a method's name and what it is given
CHANGES: Mapping[str, Callable[..., Any]] = {
    "set_aside": Ledger.set_aside,
    "sending": Ledger.sending,
    "answered": Ledger.answered,
    "kept": Ledger.kept,
    "give_back": Ledger.give_back,
}
_SNAPSHOT, _PART = ".sql", ".json"
_COMPACTED, _SHARE = 500, 0.01  # files after which all of the ledger is written; at least this share of its requests


class LedgerJournal:
    """Takes a ledger over from whoever owned it last, and writes what changes.

    A *generation* is what one owner wrote: snapshots of the ledger and, between them, its changes by number. A new
    owner first says that it is one, then reads what the last one wrote: whatever that one writes later, it finds out
    right after that it owns nothing any more, and grants nothing.

    Args:
        storage: where it is kept.
        key: below which.
        first: the ledger, as SQL, that stands for one that the storage does not have yet; "" for an empty one.
    """

    def __init__(self, storage: Storage, key: str, first: str) -> None:
        self._storage, self._key, self._name = storage, key, uuid4().hex
        self._lock, self._changed = threading.RLock(), threading.Condition()
        self._waiting: list[Change] = []
        self._failure: LatentprintError | None = None
        last = self._last()
        self._own({"generation": self._name, "previous": last})
        self.ledger, self._made = self._read(last, first)
        self._written = self._made
        self._compact()
        if last:
            self._remove(last)
        threading.Thread(target=self._write_on, name="journal", daemon=True).start()

    def change(self, change: Change, budget: int | None) -> tuple[Any, int]:
        """Make a change under a budget; returns what it gives, and its number. Raises what the ledger does."""
        name, arguments = change
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self.ledger.spec = replace(self.ledger.spec, budget=budget)
            found = CHANGES[name](self.ledger, **arguments)
            with self._changed:
                self._waiting.append(change)
                self._made += 1
                self._changed.notify_all()
                return found, self._made

    def read(self, look: Callable[[Ledger], Any], budget: int | None) -> Any:
        """What a look at the ledger gives, under a budget. Raises what the ledger does."""
        with self._lock:
            self.ledger.spec = replace(self.ledger.spec, budget=budget)
            return look(self.ledger)

    def wait(self, number: int) -> None:
        """Wait until the change of this number is written. Raises `DataError` where it cannot be."""
        with self._changed:
            self._changed.wait_for(lambda: self._written >= number or self._failure is not None)
            if self._written < number and self._failure is not None:
                raise self._failure

    def _write_on(self) -> None:
        """Write what waits, all of it together, for as long as this process lives."""
        parts = 0
        while self._failure is None:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                waiting, self._waiting = self._waiting, []
            first, last = self._written + 1, self._written + len(waiting)
            try:
                self._storage.write(self._at(f"{first:015d}-{last:015d}{_PART}"), json.dumps(waiting).encode())
                self._require_ownership()
                parts += 1
                if parts >= max(_COMPACTED, _SHARE * self.ledger.requests):
                    self._compact()
                    parts = 0
            except LatentprintError as error:
                self._failure = error
            with self._changed:
                self._written = last if self._failure is None else self._written
                self._changed.notify_all()

    def _compact(self) -> None:
        """Write all of the ledger, and forget what it was made of."""
        with self._lock:
            made, content = self._made, self.ledger.dump()
        self._storage.write(self._at(f"{made:015d}{_SNAPSHOT}"), content.encode())
        for part in self._storage.listed(self._at("")[:-1]):
            if _last_number(part) < made or (_last_number(part) == made and part.endswith(_PART)):
                self._storage.remove(part)

    def _read(self, generation: str, first: str) -> tuple[Ledger, int]:
        """The ledger as a generation left it, and the number of its last change."""
        parts = sorted(self._storage.listed(f"{self._key}/{generation}")) if generation else []
        snapshot = max((part for part in parts if part.endswith(_SNAPSHOT)), default=None)
        content = first if snapshot is None else (self._storage.read(snapshot) or b"").decode()
        ledger, made = Ledger(LedgerSpec(), content), 0 if snapshot is None else _last_number(snapshot)
        for part in (one for one in parts if one.endswith(_PART) and _last_number(one) > made):
            changes = json.loads(self._storage.read(part) or b"[]")
            for name, arguments in changes[len(changes) - (_last_number(part) - made) :]:
                CHANGES[name](ledger, **arguments)
            made = _last_number(part)
        return ledger, made

    def _last(self) -> str:
        """The generation that holds the ledger; "" where there is none."""
        content = self._storage.read(f"{self._key}/owner")
        owner = {"generation": "", "previous": ""} if content is None else json.loads(content)
        written = owner["generation"] and self._storage.listed(f"{self._key}/{owner['generation']}")
        return str(owner["generation"] if written else owner["previous"])

    def _own(self, owner: Mapping[str, str]) -> None:
        self._storage.write(f"{self._key}/owner", json.dumps(owner).encode())

    def _require_ownership(self) -> None:
        owner = json.loads(self._storage.read(f"{self._key}/owner") or b"{}")
        if owner.get("generation") != self._name:
            raise DataError(
                f"The query ledger in the storage {self._storage} was taken over by another Ray cluster's run: let "
                "that end, and run the same command again to go on."
            )

    def _remove(self, generation: str) -> None:
        for part in self._storage.listed(f"{self._key}/{generation}"):
            self._storage.remove(part)

    def _at(self, name: str) -> str:
        return f"{self._key}/{self._name}/{name}"


def _last_number(part: str) -> int:
    return int(PurePosixPath(part).stem.rpartition("-")[2])
