"""Tasks on their way to another machine: paths below the run's folder become paths below the folder that stands for it.

Whatever a task names below that folder lies in the storage under the same relative path. The files that a data set's
options name are taken there too, once each, and the options name them anew where the task arrives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from latentprint.core.carried_data import CarriedData, carried
from latentprint.core.datasets import DatasetSpec
from latentprint.core.mirror import Mirror

_PLAIN = (str, bytes, int, float, bool, type(None))


@dataclass(frozen=True)
class Below:
    """A path below the folder of all runs, wherever that is."""

    relative: str


class Shared:
    """A value that goes with many tasks, by its reference in Ray's store.

    Args:
        reference: of the value, or of what was packed of it.
        load: gives the value.
    """

    def __init__(self, reference: Any, load: Callable[[Any], Any]) -> None:
        self.reference, self._load = reference, load

    def __call__(self) -> Any:
        """The value."""
        return self._load(self.reference)


@dataclass(frozen=True)
class _Reference:
    """Stands for a shared value on its way."""

    reference: Any


def packed(value: Any, mirror: Mirror) -> Any:
    """`value` for another machine, the files of its data sets brought to the storage. Errors: `carried`."""

    def out(one: Any) -> Any:
        if isinstance(one, Path) and mirror.holds(one):
            return Below(str(mirror.relative(one)))
        if isinstance(one, DatasetSpec):
            return carried(one, mirror) or one
        return _Reference(one.reference) if isinstance(one, Shared) else None

    return _replaced(value, out, {})


def unpacked(value: Any, mirror: Mirror, load: Callable[[Any], Any]) -> Any:
    """What was packed, with paths below this machine's `mirror`; `load` gives shared values by reference."""

    def come(one: Any) -> Any:
        if isinstance(one, Below):
            return mirror.root / one.relative
        if isinstance(one, CarriedData):
            return one.at(mirror.root, mirror.storage)
        return Shared(one.reference, load) if isinstance(one, _Reference) else None

    return _replaced(value, come, {})


def _replaced(value: Any, other: Callable[[Any], Any], known: dict[int, Any]) -> Any:
    """A copy of `value` with all that `other` gives something for replaced, at any depth of records and collections.

    `known` has what was replaced already, by identity: what is one stays one.
    """
    if isinstance(value, _PLAIN):
        return value
    if id(value) not in known:
        found = other(value)
        known[id(value)] = _copied(value, lambda part: _replaced(part, other, known)) if found is None else found
    return known[id(value)]


def _copied(value: Any, each: Callable[[Any], Any]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        copy = object.__new__(type(value))
        copy.__dict__.update({name: each(part) for name, part in value.__dict__.items()})
        return copy
    if isinstance(value, Mapping):
        return {each(key): each(part) for key, part in value.items()}
    if isinstance(value, tuple | list) and not all(isinstance(part, _PLAIN) for part in value):
        parts = [each(part) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    return value
