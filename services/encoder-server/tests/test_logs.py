"""No caller decides how much is written to the log, nor what a terminal does with it."""

import io
import json
import logging

import pytest

from latentprint.encoder_server.logs import CountedHandler


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def log():
    """A logger, its clock and what it wrote."""
    clock, written = Clock(), io.StringIO()
    handler = CountedHandler(clock, max_kinds=4)
    handler.setStream(written)
    logger = logging.getLogger("latentprint.test")
    logger.handlers, logger.propagate = [handler], False
    yield logger, clock, written
    logger.handlers = []


def fail(logger, error, text="ModelInfer failed"):
    try:
        raise error
    except Exception:
        logger.exception(text)


def test_a_flood_is_one_traceback_then_one_counted_line_a_minute(log):
    logger, clock, written = log
    for _ in range(1440):
        fail(logger, ValueError("wrong"))
        clock.now += 0.125
    text = written.getvalue()
    assert text.count("Traceback") == 1
    assert text.count("ModelInfer failed: ValueError: wrong (480 such in 60 s)") == 2
    logger.handlers[0].close()
    assert "479 more lines like those above were left out" in written.getvalue()
    assert len(written.getvalue()) < 2000


def test_kinds_do_not_hide_each_other(log):
    logger, _, written = log
    fail(logger, ValueError("one"))
    fail(logger, KeyError("two"))
    logger.warning("three")
    assert [word in written.getvalue() for word in ("one", "two", "three")] == [True] * 3


def test_a_text_that_a_caller_chose_makes_no_kind_of_its_own(log):
    logger, _, written = log
    for number in range(1000):
        fail(logger, ValueError(f"name {number}"), f"Unexpected error in method [/{number}]")
    assert written.getvalue().count("Unexpected error") == 1
    assert len(written.getvalue()) < 2000


def test_frames_of_grpc_alone_are_not_written(log):
    _, _, written = log
    handler = logging.getLogger("latentprint.test").handlers[0]
    logger = logging.getLogger("grpc._cython.cygrpc")
    logger.handlers, logger.propagate = [handler], False
    fail(logger, ValueError("left"), "Unexpected [ValueError]")
    logger.handlers, logger.propagate = [], True
    assert written.getvalue().endswith("ERROR grpc._cython.cygrpc: Unexpected [ValueError]: ValueError: left\n")
    assert written.getvalue().count("\n") == 1


def test_where_json_is_asked_for_every_line_is_an_object_and_still_counted(monkeypatch):
    monkeypatch.setenv("LATENTPRINT_LOG", "json")
    clock, written = Clock(), io.StringIO()
    handler = CountedHandler(clock)
    handler.setStream(written)
    logger = logging.getLogger("latentprint.json")
    logger.handlers, logger.propagate = [handler], False
    for _ in range(100):
        fail(logger, ValueError("wrong\x1b[2J"))
        clock.now += 1
    handler.close()
    first, counted, rest = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (first["level"], first["error"]["kind"], first["error"]["message"]) == (
        "error",
        "ValueError",
        "wrong\\x1b[2J",
    )
    assert "60 such in 60 s" in counted["message"]
    assert rest["message"] == "39 more lines like those above were left out"


def test_kinds_are_bounded(log):
    logger, _, written = log
    for number in range(1000):
        fail(logger, type(f"Error{number}", (Exception,), {})("x"))
    assert written.getvalue().count("Traceback") == 5


def test_nothing_that_a_terminal_acts_on_is_written(log):
    logger, clock, written = log
    hostile = "\x1b[2J\u202e\r\n2026 ERROR forged: line\x00" + "x" * 100_000
    fail(logger, ValueError(hostile), f"method [{hostile}]")
    clock.now += 61
    fail(logger, ValueError(hostile), f"method [{hostile}]")
    text = written.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    assert not any(line.startswith("2026 ERROR forged") for line in text.split("\n"))
    assert len(text) < 8000
