"""Stores by address, before any is opened: databases in files of this machine, and servers."""

import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import unquote

from latentprint.core.files import locked
from latentprint.core.reachable import PATIENCE, http_problem, place_of

SQLITE = "sqlite:///"
_INITIALISING_SECONDS = 120.0
_NOT_FAILING = range(100, 500)


def problem(uri: str) -> str:
    """Why the store at `uri` cannot be used, found out within seconds; "" where nothing is known against it."""
    if uri.startswith(SQLITE):
        return _database_problem(database_of(uri))
    place = place_of(uri)
    return http_problem(place, _NOT_FAILING) if place.scheme in ("http", "https") else ""


def database_uri(path: Path) -> str:
    """The URI of a SQLite database; what has a meaning in URIs is escaped."""
    return SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def database_of(uri: str) -> Path:
    """The file of a SQLite URI."""
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def _database_problem(database: Path) -> str:
    """Whether the database can be written to now; one that is not there yet is made."""
    try:
        with (
            alone(database),
            closing(sqlite3.connect(str(database), timeout=PATIENCE, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (OSError, UnicodeError, sqlite3.Error) as error:
        return f"cannot be written ({error})"
    return ""


def alone(database: Path) -> AbstractContextManager[bool]:
    """While a process makes the tables of a new database, others wait."""
    return locked(database.with_name(f".{database.name}.lock"), _INITIALISING_SECONDS)
