import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.asking import Counts, Ledger, LedgerSpec
from latentprint.core.errors import BudgetError, DataError


def test_a_lease_beyond_the_budget_is_refused_whole() -> None:
    with LedgerSpec(budget=10).open() as ledger:
        with ledger.lease("s", {"a": 6}, idempotent=True) as lease:
            lease.sending("a")
        with pytest.raises(BudgetError, match=r"8 more images.*4 of the budget of 10 are left.*at least 14"):
            ledger.lease("s", {"b": 4, "c": 4}, idempotent=True)
        assert ledger.spent == 6
        with ledger.lease("s", {"b": 4}, idempotent=True) as lease:
            lease.sending("b")
        assert ledger.left == 0


def test_what_was_not_sent_is_given_back() -> None:
    with LedgerSpec(budget=10).open() as ledger:
        with ledger.lease("s", {"a": 4, "b": 6}, idempotent=True) as lease:
            lease.sending("a")
            lease.answered("a")
        assert ledger.spent == 4
        assert ledger.counts("s") == Counts(sent=4, answered=4)


@pytest.mark.parametrize(("idempotent", "charged"), [(True, 6), (False, 10)])
def test_a_killed_run_takes_up_its_lease(tmp_path: Path, idempotent: bool, charged: int) -> None:
    spec = LedgerSpec(tmp_path / "ledger.sqlite", budget=10)
    killed = spec.open()
    lease = killed.lease("s", {"a": 4, "b": 2}, idempotent=idempotent)
    lease.sending("a")
    killed.close()  # neither answered nor given back, as after SIGKILL
    with spec.open() as ledger:
        assert ledger.unfinished("s", idempotent=idempotent) == (6 if idempotent else 2)
        with ledger.lease("s", {"a": 4, "b": 2}, idempotent=idempotent) as again:
            for name in ("a", "b"):
                again.sending(name)
                again.answered(name)
        assert ledger.spent == charged
        assert ledger.counts("s").answered == 6


def test_an_answered_question_asked_anew_is_charged_anew() -> None:
    with LedgerSpec(budget=8).open() as ledger:
        for _ in range(2):
            with ledger.lease("s", {"a": 4}, idempotent=True) as lease:
                lease.sending("a")
                lease.answered("a")
        assert ledger.spent == 8
        with pytest.raises(BudgetError):
            ledger.lease("s", {"a": 4}, idempotent=True)


def test_sending_again_is_counted_apart_and_charged_only_where_the_endpoint_may_answer_twice() -> None:
    for idempotent, spent in ((True, 4), (False, 8)):
        with LedgerSpec(budget=8).open() as ledger:
            with ledger.lease("s", {"a": 4}, idempotent=idempotent) as lease:
                assert not lease.sending("a")
                assert lease.sending("a")
                lease.answered("a")
            assert ledger.spent == spent
            assert ledger.counts("s") == Counts(sent=4, answered=4, retried=4)


def test_kept_answers_are_never_charged() -> None:
    with LedgerSpec(budget=0).open() as ledger:
        ledger.kept("s", {"a": 5})
        assert ledger.spent == 0
        assert ledger.counts("s") == Counts(cached=5)


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), max_size=12), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_spending_never_passes_the_budget(steps: list[tuple[int, bool, bool]], budget: int) -> None:
    with LedgerSpec(budget=budget).open() as ledger:
        expected = 0
        for number, (images, sent, resent) in enumerate(steps):
            try:
                with ledger.lease("s", {str(number): images}, idempotent=False) as lease:
                    expected += images if sent else 0
                    for _ in range(sent + (sent and resent)):
                        lease.sending(str(number))
                    expected += images if sent and resent else 0
            except BudgetError:
                pass
            assert ledger.spent == min(expected, ledger.spent) <= budget


_SPEND = """
import sys
from pathlib import Path
from latentprint.attack_engine.asking import LedgerSpec
from latentprint.core.errors import BudgetError
with LedgerSpec(Path(sys.argv[1]), budget=100).open() as ledger:
    for step in range(40):
        name = sys.argv[2] + "-" + str(step)
        try:
            with ledger.lease("s", {name: 3}, idempotent=True) as lease:
                lease.sending(name)
                lease.answered(name)
        except BudgetError:
            break
"""


def test_processes_share_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    workers = [subprocess.Popen([sys.executable, "-c", _SPEND, str(path), str(number)]) for number in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    with Ledger(LedgerSpec(path)) as ledger:
        assert ledger.spent == 99
        assert ledger.counts("s") == Counts(sent=99, answered=99)


def test_the_client_name_is_the_ledgers(tmp_path: Path) -> None:
    spec = LedgerSpec(tmp_path / "ledger.sqlite")
    with spec.open() as first, spec.open() as second, LedgerSpec().open() as other:
        assert first.client == second.client != other.client


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(DataError, match="not a query ledger"):
        LedgerSpec(path).open()
