"""`latentprint steal`: copy the encoder behind an endpoint, by asking it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentprint.attack_engine.commands.endpoint_options import (
    ENDPOINT,
    ApiKeyFile,
    ImagesPerRequest,
    ImagesPerSecond,
    InFlight,
    OutputName,
    Root,
    Storage,
    Timeout,
    Workers,
    named_endpoint,
    require_remote,
    require_storage,
)
from latentprint.core.cli import given_options, refuse_unused
from latentprint.core.errors import UsageError

if TYPE_CHECKING:
    from latentprint.attack_engine.asking import EndpointSpec
    from latentprint.core.datasets import DatasetSpec, Ids

_IMAGES, _STUDENT = "Images", "Student"


def register(app: typer.Typer) -> None:
    """Add `steal` to the command line."""
    app.command("steal")(steal_command)


def steal_command(
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar="grpc://HOST:PORT[/MODEL]", help="The victim.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    loss: Annotated[str, typer.Option(help="mse, infonce, softnn, supcon, barlow or wasserstein.")] = "mse",
    queries: Annotated[int, typer.Option(help="Images that are asked and learned from.")] = 1000,
    held_out: Annotated[
        int, typer.Option(help="Further images that are asked, to measure fidelity on; 0 measures none.")
    ] = 200,
    images: Annotated[Path | None, typer.Option(help="Folder of the thief's images.", rich_help_panel=_IMAGES)] = None,
    side: Annotated[
        str,
        typer.Option(
            metavar="SIDE|HxW",
            help="Size to bring --images to. Default: what the endpoint says.",
            rich_help_panel=_IMAGES,
        ),
    ] = "",
    split: Annotated[
        Path | None,
        typer.Option(
            help="In place of --images: a split's file, whose distillation samples are the thief's, or else its "
            "non-members.",
            rich_help_panel=_IMAGES,
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(help="In place of --images: see `latentprint list datasets`.", rich_help_panel=_IMAGES)
    ] = "",
    data_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the data set.", rich_help_panel=_IMAGES),
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="timm's name of it, or one of latentprint's own.", rich_help_panel=_STUDENT)
    ] = "resnet18_cifar_narrow",
    architecture_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the architecture.", rich_help_panel=_STUDENT),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of its training.", rich_help_panel=_STUDENT)] = 60,
    batch_size: Annotated[int, typer.Option(help="Images a step.", rich_help_panel=_STUDENT)] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at the start.", rich_help_panel=_STUDENT)] = 2e-3,
    budget: Annotated[
        int | None,
        typer.Option(help="Images that all thefts from this endpoint may ask at most.", rich_help_panel=ENDPOINT),
    ] = None,
    api_key_file: ApiKeyFile = None,
    in_flight: InFlight = 4,
    images_per_request: ImagesPerRequest = None,
    images_per_second: ImagesPerSecond = None,
    timeout: Timeout = 60.0,
    output_name: OutputName = None,
    workers: Workers = 2,
    seed: Annotated[int, typer.Option(help="Of the draw of images and of the training.")] = 0,
    root: Root = Path("runs"),
    storage: Storage = "",
) -> None:
    """Steal an encoder: ask it about images, train a student to embed them alike, and write that as a bundle.

    Runs again where it stopped, and asks nothing twice: a theft by another loss costs no query more.
    """
    from latentprint.attack_engine.models.stealing import Stealing
    from latentprint.attack_engine.runs.stealing import Theft, run_theft
    from latentprint.attack_engine.runs.stored_signals import AskingOptions
    from latentprint.core.files import named_folder
    from latentprint.core.mirror import mirrored
    from latentprint.core.telemetry.logs import log_console, log_libraries
    from latentprint.core.values import parse_pairs

    console = log_console()
    log_libraries()
    require_storage(storage)
    given = given_options(context)
    if images is None:
        refuse_unused(given, ["--side"], "is of --images: data sets and splits say it themselves.")
    if not data:
        refuse_unused(given, ["--data-option"], "is of --data: name a data set.")
    require_remote(endpoint, given)
    options = Stealing(
        loss,
        queries,
        held_out,
        architecture,
        parse_pairs(architecture_option or [], "--architecture-option"),
        epochs,
        batch_size,
        learning_rate,
    )
    spec = named_endpoint(
        endpoint,
        api_key_file=api_key_file,
        output_name=output_name,
        timeout_seconds=timeout,
        in_flight=in_flight,
        images_per_request=images_per_request,
        images_per_second=images_per_second,
    )
    asking, target = AskingOptions(workers, budget), named_folder(out)
    dataset, ids = _images(spec, images, side, split, data, parse_pairs(data_option or [], "--data-option"))
    with mirrored(root, storage):
        run_theft(Theft(spec, dataset, ids, target, options, seed, asking), root, console)
    typer.echo(f"bundle: {target}")


def _images(
    endpoint: "EndpointSpec", images: Path | None, side: str, split: Path | None, data: str, options: dict[str, object]
) -> "tuple[DatasetSpec, Ids]":
    """The thief's images, named in one of three ways."""
    import numpy as np

    from latentprint.attack_engine.runs.samples import published_side
    from latentprint.attack_engine.runs.stealing import images_of_split
    from latentprint.core.datasets import DatasetSpec
    from latentprint.core.samples import parse_size

    if [images is not None, split is not None, bool(data)].count(True) != 1:
        raise UsageError("Name the images to ask about by one of --images, --split and --data.")
    if split is not None:
        return images_of_split(split)
    spec = DatasetSpec(data, options)
    if images is not None:
        size = parse_size(side, "--side") if side else published_side(endpoint)
        spec = DatasetSpec("folder", {"path": str(images.resolve()), "side": size})
    return spec, np.arange(len(spec.open()))
