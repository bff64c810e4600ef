"""`latentprint doctor`: what this machine has, what is missing and what to do about it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from latentprint.core.commands.doctor import machine, packages, services, torch_build
from latentprint.core.commands.doctor.check import Check
from latentprint.core.text import SENTENCE_LENGTH, printable

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("doctor")(doctor)


def doctor(
    runs: Annotated[Path, typer.Option(help="The folder that runs are written to.")] = Path("runs"),
    load: Annotated[
        bool,
        typer.Option("--load", help="Import torch, torchvision and timm too, and ask torch for its GPUs: seconds."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Say what this machine has, what is missing and what to do; exit 1 only when something required is missing."""
    checks = examine(runs, load=load)
    healthy = all(check.status != "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _print(checks)
    if not healthy:
        raise typer.Exit(1)


def examine(runs: Path, *, load: bool = False) -> list[Check]:
    """Every check in the order it is shown.

    Args:
        runs: the folder that runs are written to; it need not exist.
        load: whether torch and what is built for it are imported, or only looked up as installed.
    """
    return [*machine.checks(runs), *torch_build.checks(load=load), *packages.checks(), *services.checks(runs)]


def _print(checks: list[Check]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(check.name) for check in checks)
    for check in checks:
        advice = f" -> {check.advice}" if check.advice else ""
        status = (f"{check.status:<4}", _STYLES[check.status])
        console.print(
            Text.assemble(
                status,
                printable(f"  {check.name:<{width}}  {check.found}", SENTENCE_LENGTH),
                (printable(advice, SENTENCE_LENGTH), "italic"),
            )
        )
    counts = {status: sum(check.status == status for check in checks) for status in _STYLES}
    console.print(f"\n{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} missing")
