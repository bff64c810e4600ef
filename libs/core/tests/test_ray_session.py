"""The Ray session's own decisions, and one real start; the packages that use it test it with Ray."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from latentprint.core.errors import LatentprintError, UsageError
from latentprint.core.ray_session import require_cluster, session

TIMED_OUT = RuntimeError("The current node timed out during startup. This could happen because of busy resources.")


@pytest.fixture
def ray(monkeypatch):
    """Keeps what it was asked for; fails to start as often as `failures` holds errors."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    calls = SimpleNamespace(started=[], stops=0, failures=[], running=False)

    def init(**options):
        calls.started.append(options)
        if calls.failures:
            raise calls.failures.pop(0)

    calls.init = init
    calls.is_initialized = lambda: calls.running
    calls.shutdown = lambda: setattr(calls, "stops", calls.stops + 1)
    return calls


def test_a_local_one_is_started_with_room_for_the_workers_and_stopped_after_an_error(ray):
    def fail():
        with session(ray, 500):
            assert (len(ray.started), ray.stops) == (1, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ray.started[0]["num_cpus"] == 500
    assert ray.stops == 1


def test_what_is_connected_is_neither_started_nor_stopped(ray):
    ray.running = True
    with session(ray, 2):
        pass
    assert (ray.started, ray.stops) == ([], 0)


def test_a_cluster_that_nobody_named_is_not_looked_for(ray, monkeypatch):
    for named in (None, "", "local"):
        if named is not None:
            monkeypatch.setenv("RAY_ADDRESS", named)
        with session(ray, 2):
            assert ray.started[-1]["address"] == "local"


def test_a_local_one_leaves_no_token_and_a_named_one_keeps_its_own_rule(ray, monkeypatch, grpc_port):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{grpc_port}")
    with session(ray, 2):
        assert "RAY_AUTH_MODE" not in os.environ
    monkeypatch.delenv("RAY_ADDRESS")
    with session(ray, 2):
        assert os.environ["RAY_AUTH_MODE"] == "disabled"


@pytest.fixture
def grpc_port():
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_the_environment_names_gets_no_local_sizes(ray, monkeypatch, grpc_port, scheme):
    monkeypatch.setenv("RAY_ADDRESS", f"{scheme}127.0.0.1:{grpc_port}")
    with session(ray, 2):
        pass
    assert ray.started[0] == {
        "address": f"{scheme}127.0.0.1:{grpc_port}",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nonsense.invalid", "127.0.0.1:x", "[::1]:9"])
def test_an_address_where_nothing_answers_is_refused_in_seconds(ray, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(LatentprintError, match="No Ray cluster answers at RAY_ADDRESS="):
        require_cluster()
    assert time.monotonic() - started < 15
    assert ray.started == []


def test_an_address_that_takes_connections_and_never_answers_is_refused_in_seconds(ray, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(LatentprintError, match="No Ray cluster answers"), session(ray, 2):
            pass
    assert time.monotonic() - started < 15
    assert ray.started == []


def test_an_address_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265\x1b[2J")
    with pytest.raises(UsageError, match=r"RAY_ADDRESS=http://127\.0\.0\.1:8265\\x1b\[2J names no Ray cluster"):
        require_cluster()


def test_a_busy_machine_gets_three_tries(ray):
    ray.failures = [TIMED_OUT, TIMED_OUT]
    with session(ray, 2):
        assert len(ray.started) == 3
    ray.failures = [TIMED_OUT] * 3
    with pytest.raises(LatentprintError, match="in 3 tries of half a minute"), session(ray, 2):
        pass


def test_another_failure_is_told_at_once_in_one_line(ray):
    ray.failures = [ConnectionError("no such\nhead node")]
    with pytest.raises(LatentprintError, match=r"did not start \(no such head node\)"), session(ray, 2):
        pass
    assert (len(ray.started), ray.stops) == (1, 1)


def test_the_console_handler_of_ray_data_is_quiet(ray):
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("ray.data").addHandler(handler)
    try:
        with session(ray, 2):
            assert handler.level == logging.CRITICAL
    finally:
        logging.getLogger("ray.data").removeHandler(handler)


@pytest.mark.slow
def test_what_an_earlier_cluster_left_on_this_machine_is_not_joined() -> None:
    with tempfile.TemporaryDirectory(prefix="r") as folder:  # short: sockets lie below it
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        script = (
            "import ray; from latentprint.core.ray_session import session\n"
            "with session(ray, 1): print('joined', ray.get_runtime_context().gcs_address)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script],
            env=environment | {"RAY_TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert ended.returncode == 0, ended.stderr
    assert "joined" in ended.stdout
    assert "joined 127.0.0.1:1\n" not in ended.stdout
