"""A tracking server, and a database, that is not there, hangs, goes and comes back: nothing waits, nothing is lost."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as StoredRun
from rich.console import Console

from latentprint.core.tracking import Run, default_uri, deliver_all, finishing, open_run, tracked

pytestmark = pytest.mark.slow
QUICK = 10.0  # seconds that a store which does not answer may cost a run


class Server:
    """A real `mlflow server` on a port of its own, that can be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        store = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        files = ["--artifacts-destination", str(self._folder / "files")]
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command = [sys.executable, "-m", "mlflow", "server", *store, *files, *place]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # else it starts job runners too
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                    answer.read()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self._folder / "log").read_text())

    def signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "mlflow")
    yield server
    server.kill()


@contextmanager
def quickly(seconds: float = QUICK) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def opened(root: Path, uri: str, name: str, key: str = "key") -> Run:
    return open_run(uri, name, "run", key, root / "mlflow" / "artifacts")


def stored(uri: str, name: str) -> list[StoredRun]:
    client = MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name(name).experiment_id]))


def losses(uri: str, run: StoredRun) -> list[int]:
    return sorted(point.step for point in MlflowClient(uri).get_metric_history(run.info.run_id, "loss"))


def delivered(root: Path) -> int:
    deliveries = list(deliver_all(root))
    assert all(delivery.problem == "" for delivery in deliveries), deliveries
    return sum(delivery.runs for delivery in deliveries)


def test_a_server_that_comes_late_hangs_and_is_killed_gets_everything_once(server: Server, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>")
    with quickly():  # down at the start
        run = opened(tmp_path, server.uri, "lost")
        child = run.child("victim", "child")
        child.log_params({"recipe": "mae"})
        for step in range(50):
            child.log_metrics({"loss": 1.0}, step)
    (delivery,) = deliver_all(tmp_path)
    assert (delivery.kept, delivery.runs) == (2, 0)
    assert "refused" in delivery.problem
    server.start()
    assert delivered(tmp_path) == 2
    assert len(stored(server.uri, "lost")) == 2

    server.signal(signal.SIGSTOP)  # takes connections and never answers
    with quickly():
        for step in range(50, 100):
            child.log_metrics({"loss": 1.0}, step)
            time.sleep(0.05)
    server.signal(signal.SIGCONT)
    assert delivered(tmp_path) == 1

    server.kill()
    with quickly():
        child.log_metrics({"loss": 1.0}, 100)
        child.finish()
        run.log_artifact(tmp_path / "report.html", "report")
        run.finish()
        assert run.has_finished("child")
    (tmp_path / "report.html").unlink()
    server.start()
    assert delivered(tmp_path) == 2
    assert list(deliver_all(tmp_path)) == []
    (audit,) = [found for found in stored(server.uri, "lost") if "mlflow.parentRunId" in found.data.tags]
    (parent,) = [found for found in stored(server.uri, "lost") if found is not audit and not found.data.metrics]
    assert losses(server.uri, audit) == list(range(101))
    assert audit.info.status == parent.info.status == "FINISHED"
    assert [item.path for item in MlflowClient(server.uri).list_artifacts(parent.info.run_id, "report")] == [
        "report/report.html"
    ]
    assert not [path for path in (tmp_path / "mlflow" / "unsent").rglob("*") if path.is_file() and path.name[0] != "."]


def test_what_the_store_had_already_is_not_logged_again_by_a_run_that_could_not_look(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    for locked in (False, True):
        with closing(sqlite3.connect(tmp_path / "mlflow" / "mlflow.db" if locked else ":memory:")) as other:
            other.execute("BEGIN EXCLUSIVE")
            run = opened(tmp_path, uri, "again")
            assert not run.has_finished("audit")
            with finishing(run.child("audit", "audit")) as child:
                child.log_metrics({"loss": 1.0}, 3)
            run.finish()
    assert delivered(tmp_path) == 2
    (audit,) = [found for found in stored(uri, "again") if "mlflow.parentRunId" in found.data.tags]
    assert losses(uri, audit) == [3]


def test_the_user_is_told_what_is_kept_and_how_it_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with quickly(), tracked(opened(tmp_path, "http://me:secret@127.0.0.1:9", "told"), Console(stderr=True)) as run:
        run.log_metrics({"loss": 1.0})
    said = capsys.readouterr().err
    assert said.count("warning: ") == 2
    assert f"latentprint track --root {tmp_path}" in said
    assert "Traceback" not in said
    assert "secret" not in said


@pytest.mark.parametrize("fault", ["locked", "no database", "a folder"])
def test_a_database_that_cannot_be_written_costs_seconds_and_nothing_is_lost(tmp_path: Path, fault: str) -> None:
    uri, database = default_uri(tmp_path), tmp_path / "mlflow" / "mlflow.db"
    opened(tmp_path, uri, "trial", "first").finish()
    good, aside = database.read_bytes(), database.with_name("aside")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        if fault == "locked":
            other.execute("BEGIN EXCLUSIVE")
        elif fault == "no database":
            database.write_bytes(b"no database " * 1000)
        else:
            database.rename(aside)
            database.mkdir()
        with quickly():
            run = opened(tmp_path, uri, "trial")
            run.log_metrics({"loss": 1.0}, 7)
            run.finish()
            (delivery,) = deliver_all(tmp_path)
        assert delivery.kept == 1
        assert "cannot be written" in delivery.problem
    if fault == "no database":
        database.write_bytes(good)
    if fault == "a folder":
        database.rmdir()
        aside.rename(database)
    assert delivered(tmp_path) == 1
    assert [losses(uri, found) for found in stored(uri, "trial") if found.data.metrics] == [[7]]


FIRST = """
import sys
from pathlib import Path
from latentprint.core.tracking import default_uri, open_run
root = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
run = open_run(default_uri(root), "trial", sys.argv[2], sys.argv[2], root / "mlflow" / "artifacts")
run.log_metrics({"loss": 1.0})
run.finish()
while (delivery := run.send_all()).kept:  # on a busy machine the other may send for longer than this one waits
    assert "by another process" in delivery.problem, delivery
"""


def test_two_first_runs_at_once_in_one_root_both_work(tmp_path: Path) -> None:
    for attempt in range(2):
        root = tmp_path / str(attempt)
        with started(root, "one") as one, started(root, "two") as two:
            for process in (one, two):
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"  # both have imported what they need
            for process in (one, two):
                assert process.stdin is not None
                process.stdin.write(b"\n")
                process.stdin.flush()
            for process in (one, two):
                _, error = process.communicate(timeout=120)
                assert process.returncode == 0, error.decode()
        assert len(stored(default_uri(root), "trial")) == 2


def started(root: Path, name: str) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", FIRST, root, name], **pipes)
