"""Registries: one line each to add a recipe, an attack, a data set or a defence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from latentprint.core.errors import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered thing: what it is in one line, where it comes from, and what it needs to be used."""

    name: str
    summary: str
    source: str
    value: T
    needs: Mapping[str, str] = field(default_factory=dict)


class Registry(Generic[T]):
    """Names to entries; refuses a duplicate and, for an unknown name, names the known ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, value: T, *, summary: str, source: str, needs: Mapping[str, str] | None = None) -> None:
        """Register `value` under `name`. Raises `ValueError` on a duplicate."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = Entry(name, summary, source, value, dict(needs or {}))

    def register(
        self, name: str, *, summary: str, source: str, needs: Mapping[str, str] | None = None
    ) -> Callable[[T], T]:
        """Decorator form of `add`."""

        def decorate(value: T) -> T:
            self.add(name, value, summary=summary, source=source, needs=needs)
            return value

        return decorate

    def get(self, name: str) -> T:
        """The value registered under `name`. Raises `UsageError` naming the known and the nearest."""
        return self.entry(name).value

    def entry(self, name: str) -> Entry[T]:
        """The whole entry registered under `name`. Raises `UsageError` like `get`."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def names(self) -> list[str]:
        """Registered names, in order of registration."""
        return list(self._entries)
