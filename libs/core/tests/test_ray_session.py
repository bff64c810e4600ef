"""The Ray session's own decisions; the packages that use it test it with Ray."""

import logging
import sys
from types import SimpleNamespace

import pytest

from leakscope.core.errors import LeakscopeError
from leakscope.core.ray_session import session

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


def test_a_cluster_that_the_environment_names_gets_no_local_sizes(ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    with session(ray, 2):
        pass
    assert set(ray.started[0]) == {"log_to_driver", "logging_level"}


def test_a_busy_machine_gets_three_tries(ray):
    ray.failures = [TIMED_OUT, TIMED_OUT]
    with session(ray, 2):
        assert len(ray.started) == 3
    ray.failures = [TIMED_OUT] * 3
    with pytest.raises(LeakscopeError, match="in 3 tries of half a minute"), session(ray, 2):
        pass


def test_another_failure_is_told_at_once_in_one_line(ray):
    ray.failures = [ConnectionError("no such\nhead node")]
    with pytest.raises(LeakscopeError, match=r"did not start \(no such head node\)"), session(ray, 2):
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
