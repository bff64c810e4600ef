"""`latentprint track`: send to MLflow what could not be sent when it was measured."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from latentprint.core.errors import DataError
from latentprint.core.text import say


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("track")(track)


def track(
    root: Annotated[Path, typer.Option(help="Folder of all runs, whose unsent ones are sent.")] = Path("runs"),
) -> None:
    """Send runs to MLflow that it did not take when they ended; exit 3 where some are still kept."""
    from latentprint.core.tracking import deliver_all

    console = Console(stderr=True)
    kept = []
    for delivery in deliver_all(root):
        for note in delivery.notes:
            say(console, note)
        if delivery.runs:
            say(console, f"{delivery.runs} runs sent to {delivery.uri}.")
        if delivery.kept:
            kept.append(f"{delivery.kept} runs are kept: {delivery.uri} {delivery.problem}.")
    if kept:
        raise DataError(" ".join(kept))
    say(console, "Nothing is left to be sent.")
