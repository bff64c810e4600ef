"""A real MLflow server as a team has it: users and passwords, Postgres behind it, artifacts through the server.

Postgres keeps its files in a folder of its own and runs as a user without rights; both are gone after the test.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pg8000.dbapi

PASSWORD, ADMIN, ADMIN_PASSWORD = "of-the-database", "admin", "of-the-administrator"
_READY_SECONDS = 240


class Postgres:
    """A database server on a port of its own of this machine, with a password."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._folder = Path(tempfile.mkdtemp(prefix="latentprint-postgres-"))
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self._folder, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")

    def uri(self, database: str) -> str:
        return f"postgresql+pg8000://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder), "-c", "fsync=off"]
        command = [_program("postgres"), "-D", str(self._folder / "data"), *place]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as)
        _wait_for(lambda: self.query("select 1"), lambda: (self._folder / "log").read_text())

    def query(self, statement: str, *values: object, database: str = "postgres") -> list[list[Any]]:
        """The rows that a statement gives."""
        where = {"host": "127.0.0.1", "port": self.port, "database": database}
        connection = pg8000.dbapi.connect("postgres", password=PASSWORD, timeout=10, **where)
        connection.autocommit = True
        try:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            return [list(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def kill(self) -> None:
        """As if its machine had gone: whoever is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [_program(program), "-D", str(self._folder / "data"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, **self._as)
        assert done.returncode == 0, done.stdout + done.stderr


class MlflowServer:
    """`mlflow server` with basic-auth and Postgres behind it."""

    def __init__(self, postgres: Postgres, port: int, folder: Path) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._folder = folder
        for database in ("mlflow", "users"):
            postgres.query(f"create database {database}")
        users = folder / "auth.ini"
        users.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {postgres.uri('users')}\nadmin_username = {ADMIN}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        self._environment = os.environ | {
            "MLFLOW_AUTH_CONFIG_PATH": str(users),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-the-server",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else it starts job runners too
        }
        store = ["--app-name", "basic-auth", "--backend-store-uri", postgres.uri("mlflow")]
        place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        files = ["--artifacts-destination", str(folder / "artifacts")]
        self._command = [sys.executable, "-m", "mlflow", "server", *store, *files, *place]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True, env=self._environment
            )
        _wait_for(self._health, lambda: (self._folder / "log").read_text()[-5000:])

    def _health(self) -> None:
        with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            answer.read()

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _program(name: str) -> str:
    """A program of Postgres: on PATH, or where Debian puts its newest."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or next((str(path) for path in reversed(debian)), None)
    assert found, f"Postgres is not here ({name}): run make postgres, or put its programs on PATH."
    return found


def _wait_for(answer: Callable[[], object], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            answer()
        except (OSError, pg8000.dbapi.Error):
            assert time.monotonic() < deadline, explain()
            time.sleep(0.1)
        else:
            return
