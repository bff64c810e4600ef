"""Logs for machines: one JSON object a line, where LATENTPRINT_LOG=json asks for it.

Each has `time` (UTC), `level`, `logger` and `message`, and what else belongs to it under names of its own.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from latentprint.core.errors import unknown_name
from latentprint.core.text import SENTENCE_LENGTH, printable

VARIABLE = "LATENTPRINT_LOG"
PLAIN, JSON = "plain", "json"
_CONSOLE = "latentprint"
_FRAMES = 12
_WIDTH = 200


def json_is_asked_for() -> bool:
    """Whether logs are to be JSON. Raises `UsageError` where the variable holds another word than `plain` or `json`."""
    form = os.environ.get(VARIABLE) or PLAIN
    if form not in (PLAIN, JSON):
        raise unknown_name(VARIABLE, form, (PLAIN, JSON))
    return form == JSON


def as_json(level: str, logger: str, message: str, when: float | None = None, **fields: Any) -> str:
    """One record as a line of JSON, without its end.

    Args:
        level: "info", "warning" or "error".
        logger: who says it.
        message: for people.
        when: seconds since the epoch; None for now.
        fields: whatever else belongs to it, as JSON holds it.
    """
    at = datetime.now(UTC) if when is None else datetime.fromtimestamp(when, UTC)
    record = {"time": at.isoformat(timespec="milliseconds"), "level": level, "logger": logger}
    return json.dumps({**record, "message": printable(message, SENTENCE_LENGTH), **fields})


class JsonFormatter(logging.Formatter):
    """Records as lines of JSON; those with `extra={"fields": {...}}` have these fields too.

    Args:
        brief: loggers, by the beginning of their names, whose exceptions come without traceback.
    """

    def __init__(self, brief: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._brief = brief

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = {"kind": type(error).__name__, "message": printable(error, SENTENCE_LENGTH)}
            if not record.name.startswith(self._brief or ("\0",)):
                frames = traceback.format_tb(error.__traceback__, limit=-_FRAMES)
                fields["error"]["traceback"] = "".join(frames)
        return as_json(record.levelname.lower(), record.name, record.getMessage(), record.created, **fields)


class JsonConsole(Console):
    """A console whose every print is a line of JSON: a text its message, a table its rows.

    Args:
        file: where the lines go.
    """

    def __init__(self, file: TextIO) -> None:
        super().__init__(file=file, force_terminal=False, color_system=None, width=_WIDTH)

    def print(self, *objects: Any, **_: Any) -> None:
        """Write each of `objects`."""
        for one in objects:
            if isinstance(one, Table):
                self.write(_plain(one.title or ""), rows=_rows(one), note=_plain(one.caption or ""))
            elif message := _plain(one):
                self.write(message)

    def rule(self, title: Any = "", **_: Any) -> None:
        """Write the title."""
        self.print(title)

    def write(self, message: str, **fields: Any) -> None:
        """Write a record with `fields` of its own."""
        self.file.write(as_json("info", _CONSOLE, message, **fields) + "\n")
        self.file.flush()


def log_console(*, stderr: bool = True) -> Console:
    """Where a command says what it does: for people, or as JSON. Raises as `json_is_asked_for` does."""
    if json_is_asked_for():
        return JsonConsole(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr)


def log_libraries() -> None:
    """Where JSON is asked for: warnings of all libraries, and what latentprint logs, as JSON to standard error."""
    if not json_is_asked_for():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger(_CONSOLE).setLevel(logging.INFO)


def _plain(shown: object) -> str:
    """What is shown, as one line without markup."""
    if isinstance(shown, str):
        shown = Text.from_markup(shown)
    if isinstance(shown, Text):
        return " ".join(shown.plain.split())
    plain = Console(file=StringIO(), width=_WIDTH, color_system=None)
    with plain.capture() as captured:
        plain.print(shown)
    return " ".join(captured.get().split())


def _rows(table: Table) -> list[Mapping[str, str]]:
    """A table's rows by their columns' headers."""
    headers = [_plain(column.header) for column in table.columns]
    cells: Iterable[tuple[Any, ...]] = zip(*(column.cells for column in table.columns), strict=True)
    return [dict(zip(headers, map(_plain, row), strict=True)) for row in cells]
