"""Strict mapping of YAML and keyword options onto frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from latentprint.core.errors import DataError, UsageError
from latentprint.core.values import load

T = TypeVar("T")


def from_mapping(cls: type[T], options: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `cls`, and the dataclasses in its fields, from `options`.

    Every key must be a field and every value must have the field's type. Where a dataclass with a field `name` is
    expected, a plain string gives that name. `where` names the place in the user's input for the error message.

    Raises:
        UsageError: an unknown key (with the nearest known one), a missing key or a wrong value.
    """
    checked = _checked(cls, options, where)
    try:
        return cast(T, _adapter(cast(Any, cls)).validate_python(checked))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "value"
        raise UsageError(f"{where}: {place}: {first['msg']}.") from None


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """Making one takes milliseconds, and a run makes hundreds of a few classes."""
    return TypeAdapter(cls)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises `DataError` naming the file and, for bad syntax, the line."""
    try:
        content = load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"No such file: {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a mapping of keys to values, not {type(content).__name__}.")
    return content


def _checked(hint: Any, value: Any, where: str) -> Any:
    """`value` with its keys checked against the dataclasses in `hint`, at any depth."""
    if isinstance(value, float) and not isfinite(value):
        raise UsageError(f"{where}: {value} is no number to work with: give a finite one.")
    if isinstance(value, list | tuple):
        value = [_checked(object, item, f"{where}[{index}]") for index, item in enumerate(value)]
    nested = [part for part in (hint, *get_args(hint)) if is_dataclass(part)]
    if not nested:
        return value
    if is_dataclass(hint):
        return _checked_dataclass(cast(type, hint), value, where)
    if isinstance(value, Mapping) and _is_mapping(hint):
        return {key: _checked(nested[0], item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(nested[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    return _checked(nested[0], value, where) if isinstance(value, Mapping | str) else value


def _is_mapping(hint: Any) -> bool:
    origin = getattr(hint, "__origin__", None)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _checked_dataclass(cls: type, value: Any, where: str) -> Any:
    known = [f.name for f in fields(cls)]
    if isinstance(value, str) and "name" in known:
        return {"name": value}
    if not isinstance(value, Mapping):
        return value
    for key in value:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{where}: unknown key {key!r}.{hint} Known: {', '.join(sorted(known)) or 'none'}.")
    hints = get_type_hints(cls)
    return {key: _checked(hints[key], item, f"{where}.{key}") for key, item in value.items()}
