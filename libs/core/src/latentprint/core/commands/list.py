"""`latentprint list`: what is registered, where it comes from and what it needs, before anything runs."""

import json
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from latentprint.core.errors import unknown_name
from latentprint.core.registry import Entry, Registry

REGISTRIES = "latentprint.registries"
_KINDS = "questions|attacks|recipes|defences|datasets|drivers"


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("list")(list_registered)


def list_registered(
    kind: Annotated[
        str, typer.Argument(metavar="questions|attacks|recipes|defences|datasets|drivers", help="What to list.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say what is there: name, one line, source and what it needs."""
    registry = open_registry(kind)
    if as_json:
        typer.echo(json.dumps([_described(entry) for entry in registry], indent=2))
        return
    Console().print(_table(registry))


def open_registry(kind: str) -> Registry[Any]:
    """The registry that an installed package offers as `kind`. Raises `UsageError` for an unknown kind."""
    points = {point.name: point for point in entry_points(group=REGISTRIES)}
    if kind not in points:
        raise unknown_name("kind", kind, points)
    registry: Registry[Any] = points[kind].load()
    return registry


def _described(entry: Entry[Any]) -> dict[str, Any]:
    return {"name": entry.name, "summary": entry.summary, "source": entry.source, "needs": dict(entry.needs)}


def _table(registry: Registry[Any]) -> Table:
    table = Table(show_lines=True, header_style="bold")
    table.add_column(registry.kind, style="bold", no_wrap=True)
    for title in ("what it is", "needs", "source"):
        table.add_column(title, overflow="fold")
    for entry in registry:
        needs = "\n".join(f"{key}: {value}" for key, value in entry.needs.items())
        table.add_row(*map(Text, (entry.name, entry.summary, needs or "nothing else", entry.source)))
    return table
