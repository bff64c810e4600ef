"""Findings as JSON: strict both ways, no NaN, and the very same numbers back. `schema.json` says what each field is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.core.errors import DataError, UsageError
from latentprint.core.files import write_atomically

SCHEMA_VERSION = 4
_VERSION = "schema_version"
T = TypeVar("T")


def to_json(findings: Findings) -> str:
    """`findings` as JSON text.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
        TypeError: a value in a free mapping that is no JSON type.
    """
    return json.dumps({_VERSION: SCHEMA_VERSION, **asdict(findings)}, allow_nan=False, ensure_ascii=False)


def from_json(text: str, where: str = "The findings") -> Findings:
    """What `to_json` wrote, equal in every number; `where` names the source in errors.

    Raises:
        DataError: not JSON, of another version, or not of this shape (a missing, unknown or wrongly typed field, a
            NaN, a question that is not registered).
    """
    given = _parsed(text, where)
    if given.get(_VERSION) != SCHEMA_VERSION:
        raise _other_version(given, where)
    content = {key: value for key, value in given.items() if key != _VERSION}
    findings = _read(Findings, content, where, ())
    audits = tuple(
        replace(one, result=_read(_result_of(one.question, where), one.result, where, ("audits", place, "result")))
        for place, one in enumerate(findings.audits)
    )
    findings = replace(findings, audits=audits)
    difference = _first_difference(given, json.loads(to_json(findings)), ())
    if difference is not None:
        raise _unreadable(where, f"{_place(difference)}: unknown or missing field")
    return findings


def save_findings(findings: Findings, path: Path) -> None:
    """Write `findings` as UTF-8 JSON, whole or not at all. Raises `DataError` where it cannot be written."""
    write_atomically(path, to_json(findings).encode())


def load_findings(path: Path) -> Findings:
    """Read what `save_findings` wrote. Raises `DataError` for a missing file, another version or another shape."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"No such findings: {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; name the JSON file that a run saved.") from None
    return from_json(text, str(path))


def _parsed(text: str, where: str) -> Mapping[str, Any]:
    try:
        given = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _unreadable(where, str(error)) from None
    if not isinstance(given, dict):
        raise _unreadable(where, "it holds no object")
    return given


def _other_version(given: Mapping[str, Any], where: str) -> DataError:
    version = given.get(_VERSION, 1 if "audits" in given else None)
    if not isinstance(version, int):
        return _unreadable(where, f"{_VERSION}: it does not say which version of findings it is")
    return DataError(
        f"{where} holds findings of version {version}, and this latentprint reads version {SCHEMA_VERSION}: run the "
        "experiment or the audit again (what is kept is not asked again), or read it with the release that wrote it."
    )


def _result_of(question: str, where: str) -> type[Any]:
    try:
        return QUESTIONS.get(question).result
    except UsageError as error:
        raise DataError(f"{where} cannot be read: {error}") from None


def _read(cls: type[T], given: object, where: str, place: tuple[Any, ...]) -> T:
    """`given`, parsed JSON, as the dataclass `cls`; `place` is where it stands in the whole."""
    try:
        return TypeAdapter(cls).validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise _unreadable(where, f"{_place((*place, *first['loc']))}: {first['msg']}") from None


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
