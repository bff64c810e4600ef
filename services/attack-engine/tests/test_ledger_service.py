"""The ledger of a cluster: as strict as the one of a machine, through kills, restarts and takeovers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray

from latentprint.attack_engine.asking import Counts, Ledger, LedgerSpec
from latentprint.attack_engine.asking import ledger_journal as journals
from latentprint.attack_engine.asking.ledger_journal import LedgerJournal
from latentprint.core.errors import BudgetError, DataError
from latentprint.core.mirror import Mirror, mirrored, register
from latentprint.core.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "storage").as_uri())


def lease(journal: LedgerJournal, name: str, images: int, budget: int | None = None) -> None:
    change = "set_aside", {"scope": "s", "requests": {name: images}, "idempotent": True}
    journal.wait(journal.change(change, budget)[1])


def send(journal: LedgerJournal, name: str, images: int) -> bool:
    change = "sending", {"scope": "s", "name": name, "images": images, "idempotent": True}
    found, number = journal.change(change, None)
    journal.wait(number)
    return bool(found)


def test_every_grant_is_in_the_storage_before_it_is_given(storage: Storage) -> None:
    journal = LedgerJournal(storage, "ledgers/a", "")
    client = journal.ledger.client
    lease(journal, "one", 4)
    assert not send(journal, "one", 4)
    lease(journal, "two", 6)
    again = LedgerJournal(storage, "ledgers/a", "")  # as after a kill: nothing was closed
    assert (again.ledger.client, again.ledger.spent) == (client, 10)
    assert send(again, "one", 4)  # it may have been sent before
    assert again.ledger.unfinished("s", idempotent=True) == 10


def test_one_that_was_replaced_grants_nothing_more(storage: Storage) -> None:
    old = LedgerJournal(storage, "ledgers/a", "")
    lease(old, "one", 4)
    new = LedgerJournal(storage, "ledgers/a", "")
    with pytest.raises(DataError, match="was taken over"):
        lease(old, "late", 50)
    with pytest.raises(DataError, match="was taken over"):
        lease(old, "later", 1)
    assert new.ledger.spent == 4
    assert LedgerJournal(storage, "ledgers/a", "").ledger.spent == 4


def test_a_storage_that_fails_grants_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = LedgerJournal(storage, "ledgers/a", "")

    def full(self: Storage, key: str, content: bytes) -> None:
        raise DataError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "write", full)
        with pytest.raises(DataError, match="no room"):
            lease(journal, "one", 4)
    assert LedgerJournal(storage, "ledgers/a", "").ledger.spent == 0


def test_many_that_ask_at_once_share_one_budget_and_few_writes(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_COMPACTED", 4)  # so that it is written whole now and then, meanwhile
    journal = LedgerJournal(storage, "ledgers/a", "")

    def spend(number: int) -> int:
        try:
            lease(journal, str(number), 3, budget=100)
        except BudgetError:
            return 0
        send(journal, str(number), 3)
        journal.change(("answered", {"scope": "s", "name": str(number)}), 100)
        return 3

    with ThreadPoolExecutor(16) as pool:
        granted = sum(pool.map(spend, range(60)))
    lease(journal, "-", 0)
    assert granted == journal.ledger.spent == 99
    again = LedgerJournal(storage, "ledgers/a", "").ledger
    assert again.dump() == journal.ledger.dump()
    assert again.counts("s") == Counts(sent=99, answered=99)
    assert len(storage.listed("ledgers/a")) == 2  # the owner's name, and all of the ledger


def test_a_ledger_that_one_machine_kept_goes_on_in_the_storage(storage: Storage, tmp_path: Path) -> None:
    with Ledger(LedgerSpec(tmp_path / "ledger.sqlite")) as kept, kept.lease("s", {"a": 7}, idempotent=True) as one:
        one.sending("a")
        content = kept.dump()
    assert LedgerJournal(storage, "ledgers/a", content).ledger.spent == 7
    assert LedgerJournal(storage, "ledgers/a", "").ledger.spent == 7


@pytest.fixture
def spend(storage: Storage, tmp_path: Path, cluster: None) -> Iterator[Callable[[int], int]]:
    """Spends from a ledger below a mirrored folder, in a worker of Ray's that mirrors it by a folder of its own."""

    @ray.remote(num_cpus=0)
    def spending(number: int) -> int:
        root = register(Mirror(tmp_path / "worker", storage)).root
        with LedgerSpec(root / "ledger.sqlite", budget=60).open() as ledger:
            granted = 0
            for step in range(10):
                name = f"{number}-{step}"
                try:
                    with ledger.lease("s", {name: 3}, idempotent=True) as leased:
                        leased.sending(name)
                        leased.answered(name)
                except BudgetError:
                    return granted
                granted += 3
            return granted

    with mirrored(tmp_path / "driver", storage.url):
        yield spending


@pytest.mark.slow
def test_workers_share_one_budget_though_its_actor_is_killed(spend: Callable[[int], int], tmp_path: Path) -> None:
    spec = LedgerSpec(tmp_path / "driver" / "ledger.sqlite", budget=60)
    with spec.open() as ledger:
        client = ledger.client
        running = [spend.remote(number) for number in range(3)]
        (actor,) = [one for one in ray.util.list_named_actors(all_namespaces=True) if one["name"].startswith("ledger-")]
        while ledger.spent < 15:
            pass
        ray.kill(ray.get_actor(actor["name"], actor["namespace"]), no_restart=False)
        assert sum(ray.get(running)) == 60
        assert (ledger.spent, ledger.client, ledger.left) == (60, client, 0)
        with pytest.raises(BudgetError, match=r"1 more images.*0 of the budget of 60"):
            ledger.require(1)
        assert ledger.counts("s").answered <= 60
