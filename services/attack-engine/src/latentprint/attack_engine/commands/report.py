"""`latentprint report`: the page again, from saved findings."""

import os
from pathlib import Path
from typing import Annotated

import typer

from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("report")(report)


def report(
    findings: Annotated[Path, typer.Argument(help="The findings that a run or an audit saved, as JSON.")],
    output: Annotated[
        Path | None, typer.Option(help="Where to write the page; report.html beside the findings by default.")
    ] = None,
) -> None:
    """Write the report of saved findings as one HTML page, and print its path."""
    page = output or findings.with_name("report.html")
    write_atomically(page, _render(findings).encode())
    typer.echo(os.fsencode(page))


def _render(path: Path) -> str:
    from latentprint.attack_engine.findings.serialise import load_findings
    from latentprint.attack_engine.report.render import render

    if path.is_dir():
        raise DataError(f"{path} is a folder; name the findings' JSON file in it.")
    return render(load_findings(path))
