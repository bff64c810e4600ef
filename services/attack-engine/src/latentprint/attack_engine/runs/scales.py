"""Experiment files of several scales: what differs stands under `scales`, and is merged into the rest."""

from collections.abc import Mapping
from typing import Any

from latentprint.core.errors import UsageError, unknown_name

_SCALES, _ALL = "scales", "*"


def at_scale(content: Mapping[str, Any], scale: str, where: str) -> dict[str, Any]:
    """`content` with one of its `scales` merged in, and that scale's name as `scale`.

    Mappings are merged key by key, at any depth, unless both have a `name` and the names differ. A list of mappings
    that all have a `name` is merged into such a list by name, or by `label` where there is one; what has the name "*"
    is merged into every item. Anything else is replaced.

    Args:
        content: an experiment file's content.
        scale: the scale's name; "" takes the first.
        where: the file, for errors.

    Raises:
        UsageError: a scale that the file does not have, or scales that are no mapping.
    """
    rest = {key: value for key, value in content.items() if key != _SCALES}
    scales = content.get(_SCALES, {})
    if not isinstance(scales, Mapping):
        raise UsageError(f"{where}: scales must be a mapping from a scale's name to what differs.")
    if not scales:
        if scale:
            raise UsageError(f"{where} has no scales, so it cannot be run at scale {scale!r}.")
        return rest
    scales = {str(name): change or {} for name, change in scales.items()}
    chosen = scale or next(iter(scales))
    if chosen not in scales:
        raise unknown_name(f"scale of {where}", chosen, scales)
    if not isinstance(scales[chosen], Mapping):
        raise UsageError(f"{where}: the scale {chosen!r} must be a mapping of what differs.")
    merged: dict[str, Any] = _merged(rest, scales[chosen])
    return {**merged, "scale": chosen}


def _merged(base: Any, change: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(change, Mapping) and not _another(base, change):
        return {**base, **{key: _merged(base.get(key), value) for key, value in change.items()}}
    if _named(base) and _named(change):
        return _merged_by_name(base, change)
    return change


def _another(base: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Whether both are named and differ: one data set's options say nothing of another's."""
    return "name" in base and "name" in change and base["name"] != change["name"] and change["name"] != _ALL


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, Mapping) and isinstance(v.get("name"), str) for v in value)
    )


def _merged_by_name(base: list[Any], change: list[Any]) -> list[Any]:
    changes = {_called(item): item for item in change}
    for_all = {key: value for key, value in changes.pop(_ALL, {}).items() if key != "name"}
    known = {_called(item) for item in base}
    merged = [_merged(_merged(item, for_all), changes.get(_called(item), {})) for item in base]
    return merged + [item for name, item in changes.items() if name not in known]


def _called(item: Mapping[str, Any]) -> str:
    return str(item.get("label") or item["name"])
