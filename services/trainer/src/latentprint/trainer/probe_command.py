"""`latentprint probe`: a victim that answers posteriors, of an encoder that answers embeddings."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `probe` to the command line."""
    app.command("probe")(probe_command)


def probe_command(
    bundle: Annotated[Path, typer.Argument(help="Bundle of the encoder.")],
    split: Annotated[Path, typer.Option(help="Split whose members the probe learns.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    inverse_penalty: Annotated[float, typer.Option(help="Larger fits the samples closer.")] = 1.0,
) -> None:
    """Fit a linear classifier to an encoder's embeddings and write both as one bundle, to be served and audited."""
    from latentprint.core.errors import UsageError
    from latentprint.core.files import named_folder
    from latentprint.core.split_files import read_split
    from latentprint.trainer.probing import ProbeOptions, probe

    given, folder = read_split(split), named_folder(out)
    if given.source is None:
        raise UsageError(f"{split} does not say which data set it was drawn from.")
    card = probe(bundle, given.source, given, folder, ProbeOptions(inverse_penalty))
    for name in ("train", "test"):
        if f"{name}_accuracy" in card.training:
            typer.echo(f"{name} accuracy: {100 * card.training[f'{name}_accuracy']:.1f} %")
    typer.echo(f"bundle: {folder}")
