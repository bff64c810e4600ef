"""Registries: one line each to add a recipe, an attack, a data set or a defence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Generic, TypeVar

from latentprint.core.errors import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered thing: what it is in one line, where it comes from, and what it needs to be used."""

    name: str
    summary: str
    source: str
    load: Callable[[], T]
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> T:
        """The thing itself; its module is imported at the first use."""
        return self.load()


class Registry(Generic[T]):
    """Names to entries; refuses a duplicate and, for an unknown name, names the known ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, value: T, *, summary: str, source: str, needs: Mapping[str, str] | None = None) -> None:
        """Register `value` under `name`. Raises `ValueError` on a duplicate."""
        self._add(Entry(name, summary, source, lambda: value, dict(needs or {})))

    def add_lazily(
        self, name: str, place: str, *, summary: str, source: str, needs: Mapping[str, str] | None = None
    ) -> None:
        """Register what `place` ("package.module:attribute") names, imported at its first use.

        For what computes with torch: who only lists or looks up names does not wait for it. Raises `ValueError` on a
        duplicate.
        """
        self._add(Entry(name, summary, source, lambda: resolve_name(place), dict(needs or {})))

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

    def _add(self, entry: Entry[T]) -> None:
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered twice")
        self._entries[entry.name] = entry

    def names(self) -> list[str]:
        """Registered names, in order of registration."""
        return list(self._entries)
