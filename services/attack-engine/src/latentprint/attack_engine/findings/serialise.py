"""Findings as JSON: strict both ways, no NaN, and the very same numbers back."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.membership.results import Audit
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically

T = TypeVar("T", Audit, Findings)


def to_json(result: Audit | Findings) -> str:
    """`result` as JSON text.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
        TypeError: a value in a free mapping that is no JSON type.
    """
    return json.dumps(asdict(result), allow_nan=False, ensure_ascii=False)


def from_json(cls: type[T], text: str, where: str = "The findings") -> T:
    """What `to_json` wrote, equal in every number; `where` names the source in errors.

    Raises:
        DataError: not JSON, or not of this shape (a missing, unknown or wrongly typed field, a NaN).
    """
    try:
        given = json.loads(text, parse_constant=_refuse_constant)
        value = TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise _unreadable(where, f"{_place(first['loc'])}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(where, str(error)) from None
    difference = _first_difference(given, json.loads(to_json(value)), ())
    if difference is not None:
        raise _unreadable(where, f"{_place(difference)}: unknown or missing field")
    return value


def save_findings(findings: Findings, path: Path) -> None:
    """Write `findings` as UTF-8 JSON, whole or not at all. Raises `DataError` where it cannot be written."""
    write_atomically(path, to_json(findings).encode())


def load_findings(path: Path) -> Findings:
    """Read what `save_findings` wrote. Raises `DataError` for a missing file or another shape."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"No such findings: {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; name the JSON file that a run saved.") from None
    return from_json(Findings, text, str(path))


def _first_difference(given: Any, known: Any, place: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Where two JSON values first differ; None where they are equal."""
    if isinstance(given, dict) and isinstance(known, dict):
        if given.keys() != known.keys():
            return (*place, sorted(given.keys() ^ known.keys())[0])
        pairs = [(key, given[key], known[key]) for key in given]
    elif isinstance(given, list) and isinstance(known, list):
        pairs = [(index, *pair) for index, pair in enumerate(zip(given, known, strict=True))]
    else:
        return None if given == known else place
    found = (_first_difference(left, right, (*place, key)) for key, left, right in pairs)
    return next((difference for difference in found if difference is not None), None)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _place(parts: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in parts) or "the text"


def _unreadable(where: str, what: str) -> DataError:
    return DataError(f"{where} cannot be read: {what}. Make them again with this version of latentprint.")
