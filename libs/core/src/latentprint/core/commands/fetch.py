"""`latentprint fetch`: a registered model's version from MLflow as a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from latentprint.core.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("fetch")(fetch)


def fetch(
    model: Annotated[str, typer.Argument(metavar="models:/NAME@ALIAS|models:/NAME/VERSION", help="What to fetch.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    root: Annotated[
        Path, typer.Option(help="Folder of runs, whose store is asked where MLFLOW_TRACKING_URI names none.")
    ] = Path("runs"),
) -> None:
    """Write a version of a model that is registered in MLflow to a folder, as a bundle to serve or to audit."""
    from importlib.util import find_spec

    from latentprint.core.files import named_folder

    if find_spec("mlflow") is None:
        raise UsageError("Registered models lie in MLflow, which is not installed: install latentprint-core[tracking].")
    from latentprint.core.tracking import default_uri, fetching

    card = fetching.fetch(model, default_uri(root), named_folder(out))
    typer.echo(f"recipe: {card.recipe}")
    typer.echo(f"split digest: {card.split_digest}")
    typer.echo(f"bundle: {out}")
