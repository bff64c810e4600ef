"""A run that is watched: watching neither holds it up nor ends it, and loads nothing where nobody asked."""

import io
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from latentprint.attack_engine.asking.ledger import LedgerSpec
from latentprint.attack_engine.asking.ledger_reader import LedgerReader
from latentprint.attack_engine.monitoring import monitored as module
from latentprint.attack_engine.monitoring.monitored import monitored
from latentprint.core.errors import DataError, Interrupted, UsageError


def watched(end: Exception | None, *, read: bool) -> float:
    """Seconds that a run takes to end with `end`, whose metrics were read once or never before."""
    said = io.StringIO()
    started = 0.0
    try:
        with monitored("audit", "trial", Console(file=said, width=200), host="127.0.0.1", port=0):
            if read:
                page(said.getvalue())
            started = time.monotonic()
            if end is not None:
                raise end
    except (DataError, Interrupted):
        assert end is not None
    return time.monotonic() - started


def page(said: str) -> str:
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", said)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize(
    ("end", "read", "waits"),
    [
        (None, True, True),
        (DataError("no disk"), True, True),
        (Interrupted("Ctrl-C"), True, False),
        (DataError("no disk"), False, False),
        (None, False, False),
    ],
)
def test_an_end_waits_for_a_reader_where_there_was_one_and_nobody_stopped_the_run(
    end: Exception | None, read: bool, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_READ_SECONDS", 3.0)
    seconds = watched(end, read=read)
    assert seconds >= 3.0 if waits else seconds < 2.9


def test_a_port_in_use_is_said_before_anything_is_asked() -> None:
    said = io.StringIO()
    with monitored("audit", "trial", Console(file=said, width=200), host="127.0.0.1", port=0):
        port = int(re.findall(r":(\d+)/", said.getvalue())[0])
        refused = pytest.raises(UsageError, match=rf"metrics port {port} .* cannot be used")
        with refused, monitored("run", "other", Console(file=said), host="127.0.0.1", port=port):
            pytest.fail("the run began")


def test_a_ledger_that_cannot_be_read_leaves_the_last_figures_and_stops_nothing(tmp_path: Path) -> None:
    spec = LedgerSpec(tmp_path / "ledger.sqlite", 100)
    with spec.open() as ledger, ledger.lease("scope", {"r": 8}, idempotent=True) as lease:
        lease.sending("r")
        lease.answered("r")
        reader = LedgerReader("mae", "victim", spec, {"scope": "views"})
        before = reader()
        assert (before.spent, before.left, before.current) == (8, 92, True)
        counts = {"sent": 8, "answered": 8, "cached": 0, "retried": 0}
        assert before.images == {("views", outcome): count for outcome, count in counts.items()}
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
            database.execute("DROP TABLE tallies")
        after = reader()
    assert (after.spent, after.images, after.current) == (8, before.images, False)
    reader.close()
    assert reader() == after


def test_a_run_that_nobody_watches_opens_no_ledger_for_it(tmp_path: Path) -> None:
    reader = LedgerReader("mae", "victim", LedgerSpec(tmp_path / "ledger.sqlite"), {})
    unwatched = monitored("audit", "trial", Console(quiet=True), host="127.0.0.1", port=None)
    with unwatched as status, status.watching([reader]):
        assert status.readers == []
    assert not (tmp_path / "ledger.sqlite").exists()


def test_nothing_that_exports_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys\nfrom rich.console import Console\n"
        "from latentprint.attack_engine.monitoring.monitored import monitored\n"
        "with monitored('audit', 'a', Console(), host='127.0.0.1', port=None): pass\n"
        "print(*sys.modules, sep='\\n')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ended.stdout.splitlines()}
    assert "latentprint" in loaded
    assert not loaded & {"prometheus_client", "opentelemetry", "torch", "ray"}
