"""A log whose size no caller decides: one line a kind of record and minute, with a count of those left out.

gRPC and asyncio write a line and a traceback for every exception that reaches them, and a caller may bring about as
many as it likes.
"""

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from latentprint.core.telemetry.logs import JsonFormatter, json_is_asked_for
from latentprint.core.text import printable

MAX_KINDS = 64
MINUTE = 60.0
_FRAMES = 12
_LINE_LENGTH = 1000
_GRPC = "grpc."
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Kind = tuple[object, ...]


@dataclass
class Repeats:
    """When a kind was last written, and how many have been left out since."""

    written: float
    left_out: int = 0


class CountedHandler(logging.StreamHandler[TextIO]):
    """Writes the first record of a kind, then at most one a minute, which says how many there were.

    A kind is where a record was written and what exception it carries, never its text: that may hold a caller's words.
    Beyond `max_kinds` all others are one kind. Only the first record of a kind brings its traceback, and of
    gRPC's own none does.

    Args:
        clock: seconds, monotonic.
        max_kinds: kinds that are told apart.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_kinds: int = MAX_KINDS) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter((_GRPC,)) if json_is_asked_for() else PlainFormatter(_FORMAT))
        self._clock = clock
        self._max_kinds = max_kinds
        self._kinds: dict[Kind, Repeats] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write or count the record."""
        kind, now = self._kind(record), self._clock()
        repeats = self._kinds.get(kind)
        if repeats is None:
            self._kinds[kind] = Repeats(now)
            super().emit(record)
            return
        repeats.left_out += 1
        if now - repeats.written >= MINUTE:
            super().emit(_counting(record, repeats.left_out, now - repeats.written))
            self._kinds[kind] = Repeats(now)

    def close(self) -> None:
        """Write what was counted and not yet said."""
        left_out = sum(repeats.left_out for repeats in self._kinds.values())
        self._kinds.clear()
        if left_out:
            super().emit(_note(f"{left_out} more lines like those above were left out"))
        super().close()

    def _kind(self, record: logging.LogRecord) -> Kind:
        exception = record.exc_info[0] if record.exc_info else None
        kind: Kind = (record.name, record.levelno, record.pathname, record.lineno, exception)
        return kind if kind in self._kinds or len(self._kinds) < self._max_kinds else ()


class PlainFormatter(logging.Formatter):
    """Records as short lines without anything that a terminal acts on."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of the traceback where there is one that says more than gRPC's own frames."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or record.name.startswith(_GRPC):
            return super().format(_plain(record, _sentence(record)))
        lines = [super().format(_plain(record, record.getMessage())), *_traceback(error)]
        return "\n".join(printable(line, _LINE_LENGTH) for line in lines)


def log_to_stderr() -> None:
    """Let warnings and worse of all libraries be written so, for people or as JSON.

    Raises:
        UsageError: LATENTPRINT_LOG names another form.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[CountedHandler()], force=True)


def _plain(record: logging.LogRecord, text: str) -> logging.LogRecord:
    """The record with this text, and no exception."""
    changes = {"msg": printable(text, _LINE_LENGTH), "args": (), "exc_info": None, "exc_text": None}
    return logging.makeLogRecord({**record.__dict__, **changes})


def _sentence(record: logging.LogRecord) -> str:
    """The record's message, with its exception where it has one."""
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() if error is None else f"{record.getMessage()}: {type(error).__name__}: {error}"


def _counting(record: logging.LogRecord, left_out: int, seconds: float) -> logging.LogRecord:
    """The record as one line that says how many it stands for."""
    return _plain(record, f"{printable(_sentence(record))} ({left_out} such in {seconds:.0f} s)")


def _traceback(error: BaseException) -> list[str]:
    """The innermost frames, and the exception as one line whatever its text holds."""
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-_FRAMES)).splitlines()
    return ["Traceback (most recent call last):", *frames, f"{type(error).__name__}: {error}"]


def _note(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (), None)
