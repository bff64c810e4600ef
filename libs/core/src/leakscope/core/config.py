"""Strict mapping of YAML and keyword options onto frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from leakscope.core.errors import DataError, UsageError

T = TypeVar("T")


def from_mapping(cls: type[T], options: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `cls` from `options`.

    Every key must be a field and every value must have the field's type.
    `where` names the place in the user's input for the error message.

    Raises:
        UsageError: an unknown key (with the nearest known one), a missing key or a wrong value.
    """
    known = [f.name for f in fields(cast(Any, cls))]
    for key in options:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{where}: unknown key {key!r}.{hint} Known: {', '.join(sorted(known)) or 'none'}.")
    try:
        return TypeAdapter(cls).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "value"
        raise UsageError(f"{where}: {place}: {first['msg']}.") from None


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises `DataError` naming the file and, for bad syntax, the line."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"No such file: {path}.") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a mapping of keys to values, not {type(content).__name__}.")
    return content
