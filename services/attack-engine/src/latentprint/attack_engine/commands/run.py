"""`latentprint run`: an experiment from its file to its report."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from latentprint.attack_engine.commands.endpoint_options import Storage
from latentprint.attack_engine.commands.monitoring_options import MetricsHost, MetricsPort, require_metrics_port
from latentprint.core.errors import unknown_name


def register(app: typer.Typer) -> None:
    """Add `run` to the command line."""
    app.command("run")(run)


def run(
    experiment: Annotated[
        str, typer.Argument(help="An experiment's YAML file, or the name of one that ships, such as quickstart.")
    ],
    scale: Annotated[
        str, typer.Option(help="One of the file's scales, such as small or paper; default: its first.")
    ] = "",
    seed: Annotated[
        int | None,
        typer.Option(help="In place of the file's seed; the results go to a folder of that seed.", show_default=False),
    ] = None,
    root: Annotated[Path, typer.Option(help="Folder of all runs: victims, signals, scores, reports.")] = Path("runs"),
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    storage: Storage = "",
) -> None:
    """Run an experiment: train victims, serve and attack them, evaluate, report. Runs again where it stopped."""
    from latentprint.attack_engine.monitoring.monitored import monitored
    from latentprint.attack_engine.runs.experiment_file import load_experiment
    from latentprint.core.telemetry.logs import log_console, log_libraries

    console = log_console()
    log_libraries()
    require_metrics_port(metrics_port)
    source = find_experiment(experiment)
    checked = load_experiment(source, scale, seed)
    from latentprint.attack_engine.runs.experiment import run_experiment
    from latentprint.core.mirror import mirrored

    part = "" if seed is None else f"seed-{seed}"
    with (
        mirrored(root, storage),
        monitored("run", checked.name, console, host=metrics_host, port=metrics_port) as status,
    ):
        run_experiment(checked, source, root, console, part, status)


def find_experiment(name: str) -> Path:
    """The file that `name` is the path of; else the experiment of that name that ships with this package.

    Args:
        name: a path, or a name such as `quickstart` or `seqmia/table-3-vgg16`.

    Raises:
        UsageError: neither a path nor a known name.
    """
    path = Path(name)
    if path.is_file() or path.suffix:
        return path
    folder = Path(str(files("latentprint.attack_engine"))) / "experiments"
    shipped = {file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.rglob("*.yaml")}
    if name not in shipped and path.exists():
        return path
    if name not in shipped:
        raise unknown_name("experiment", name, shipped)
    return shipped[name]
