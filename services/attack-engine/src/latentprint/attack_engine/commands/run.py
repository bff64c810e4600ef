"""`latentprint run`: an experiment from its file to its report."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from latentprint.attack_engine.runs.config import load_experiment


def register(app: typer.Typer) -> None:
    """Add `run` to the command line."""
    app.command("run")(run)


def run(
    experiment: Annotated[Path, typer.Argument(help="An experiment's YAML file.")],
    scale: Annotated[
        str, typer.Option(help="One of the file's scales, such as small or paper; default: its first.")
    ] = "",
    root: Annotated[Path, typer.Option(help="Folder of all runs: victims, signals, scores, reports.")] = Path("runs"),
) -> None:
    """Run an experiment: train victims, serve and attack them, evaluate, report. Runs again where it stopped."""
    checked = load_experiment(experiment, scale)
    from latentprint.attack_engine.runs.experiment import run_experiment

    run_experiment(checked, experiment, root, Console(stderr=True))
