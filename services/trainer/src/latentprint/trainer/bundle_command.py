"""`latentprint bundle`: a victim of weights that were trained elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latentprint.trainer.foreign import Imported

_FILE, _IMAGES = "File", "Images"
_NAMED = 8


def register(app: typer.Typer) -> None:
    """Add `bundle` to the command line."""
    app.command("bundle")(bundle_command)


def bundle_command(
    arch: Annotated[str, typer.Option(help="Architecture: timm's name, or one of latentprint's.")],
    weights: Annotated[
        Path, typer.Option(help="safetensors, or a state dict or checkpoint of tensors that torch.save wrote.")
    ],
    size: Annotated[
        str | None,
        typer.Option(metavar="SIDE|HxW", help="Of the images it was trained on, pixels.", rich_help_panel=_IMAGES),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Its normalisation, of pixels in [0, 1].", rich_help_panel=_IMAGES),
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="As --mean.", rich_help_panel=_IMAGES)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle. Default: the file's name.")] = None,
    classes: Annotated[int, typer.Option(help="Keep the classifier of so many classes. Default: drop it.")] = 0,
    model_arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Keyword argument of the architecture.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Where a checkpoint nests the state dict, as model_ema.", rich_help_panel=_FILE)
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="What the encoder's names begin with, as module.", rich_help_panel=_FILE)
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Leave out names that begin so, after the prefix.", rich_help_panel=_FILE),
    ] = None,
) -> None:
    """Make a victim bundle of an encoder that was trained elsewhere, to be served and audited."""
    from latentprint.core.channels import parse_mean, parse_std
    from latentprint.core.files import named_folder
    from latentprint.core.samples import parse_size
    from latentprint.core.values import parse_pairs
    from latentprint.trainer.foreign import Architecture, Chosen, import_encoder

    architecture = Architecture(
        arch,
        classes,
        parse_pairs(model_arg or [], "--model-arg"),
        None if size is None else parse_size(size, "--size"),
        None if mean is None else parse_mean(mean, "--mean"),
        None if std is None else parse_std(std, "--std"),
    )
    folder = named_folder(weights.with_suffix("") if out is None else out)
    imported = import_encoder(architecture, weights, folder, Chosen(key, prefix, tuple(drop or ())))
    for line in _told(imported):
        typer.echo(line)
    typer.echo(f"bundle: {folder}")


def _told(imported: "Imported") -> list[str]:
    """What was taken and what was not, for the user to check."""
    from latentprint.core.text import printable

    places = {"of": imported.key, "named": imported.prefix and f"{imported.prefix}*"}
    where = "".join(f" {word} {printable(place)!r}" for word, place in places.items() if place)
    left_out, more = imported.left_out[:_NAMED], len(imported.left_out) - _NAMED
    named = ", ".join(map(printable, left_out)) or "nothing"
    shapes = ", ".join(f"{name} {[*shape]}" for name, shape in imported.shapes.items())
    return [
        f"weights: {imported.taken} tensors{where}",
        f"left out: {named}{f' and {more} more' if more > 0 else ''}",
        f"outputs: {shapes}",
    ]
