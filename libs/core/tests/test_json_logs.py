"""Logs as JSON: every line is one object, whatever is printed, logged or raised."""

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from latentprint.core.errors import UsageError
from latentprint.core.telemetry.logs import JsonConsole, JsonFormatter, json_is_asked_for, log_console
from latentprint.core.text import say

VARIABLE = "LATENTPRINT_LOG"


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_whatever_a_console_prints_is_one_record_each() -> None:
    out = io.StringIO()
    console = JsonConsole(out)
    table = Table(title="Plan for grpc://x", caption="60 images to ask")
    table.add_column("signal")
    table.add_column("images", justify="right")
    table.add_row(Text("views [bold]"), "1,200")
    say(console, "hello\x1b[2J\nthere", "bold red")
    console.rule(Text("victim"))
    console.print(table)
    with Progress(console=console, disable=True) as progress:
        progress.update(progress.add_task("train"), completed=1)
    found = records(out.getvalue())
    assert [one["message"] for one in found] == ["hello\\x1b[2J\\nthere", "victim", "Plan for grpc://x"]
    assert found[2]["rows"] == [{"signal": "views [bold]", "images": "1,200"}]
    assert found[2]["note"] == "60 images to ask"
    for one in found:
        assert abs((datetime.now(UTC) - datetime.fromisoformat(one["time"])).total_seconds()) < 60
        assert (one["level"], one["logger"]) == ("info", "latentprint")


def test_a_logged_exception_is_one_record_with_its_fields_and_traceback() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter(brief=("grpc.",)))
    for name in ("latentprint.test", "grpc.test"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        try:
            raise ValueError("wrong\nline")
        except ValueError:
            logger.exception("%s failed", "it", extra={"fields": {"task": "train mae"}})
        logger.handlers = []
    ours, theirs = records(out.getvalue())
    assert (ours["level"], ours["logger"], ours["message"]) == ("error", "latentprint.test", "it failed")
    assert ours["task"] == "train mae"
    assert (ours["error"]["kind"], ours["error"]["message"]) == ("ValueError", "wrong\\nline")
    assert "test_json_logs.py" in ours["error"]["traceback"]
    assert "traceback" not in theirs["error"]


def test_the_form_is_asked_for_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not json_is_asked_for()
    monkeypatch.setenv(VARIABLE, "json")
    assert isinstance(log_console(), JsonConsole)
    monkeypatch.setenv(VARIABLE, "xml")
    with pytest.raises(UsageError, match=r"LATENTPRINT_LOG 'xml'.*json, plain"):
        log_console()


def test_the_error_that_ends_a_command_is_a_record() -> None:
    command = [sys.executable, "-c", "from latentprint.core.cli import main; main()", "list", "nonsense"]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {VARIABLE: "json"})
    (record,) = records(ended.stderr)
    assert (ended.returncode, record["exit_code"], record["level"]) == (2, 2, "error")
    assert record["error"] == {"kind": "UsageError"}
    assert "nonsense" in record["message"]
