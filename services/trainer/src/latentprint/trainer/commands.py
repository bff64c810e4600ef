"""`latentprint train`: make a victim."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from latentprint.core.bundles import BundleCard
    from latentprint.core.tracking import Run
    from latentprint.trainer.request import Request

_DATA, _HOW = "Data", "How"
_ACCURACIES = {
    "knn_accuracy": "k-NN accuracy",
    "probe_accuracy": "linear-probe accuracy",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}


def register(app: typer.Typer) -> None:
    """Add `train` to the command line."""
    app.command("train")(train_command)


def train_command(
    out: Annotated[Path, typer.Option(help="Folder of the bundle to write.")],
    recipe: Annotated[str | None, typer.Argument(help="See `latentprint list recipes`.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with the keys of these options.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Length of the schedule. Default: 200.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the recipe.")
    ] = None,
    defence: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:KEY=VALUE,...]", help="See `latentprint list defences`; several apply in order."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw of the training. Default: 0.")] = None,
    data: Annotated[
        str | None, typer.Option(help="See `latentprint list datasets`. Default: the split's.", rich_help_panel=_DATA)
    ] = None,
    data_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the data set.", rich_help_panel=_DATA),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of your own images, all of them members.", rich_help_panel=_DATA)
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Folder of images that are not trained on.", rich_help_panel=_DATA)
    ] = None,
    side: Annotated[
        str | None,
        typer.Option(metavar="SIDE|HxW", help="To bring --images to. Default: after theirs.", rich_help_panel=_DATA),
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Split to train on.", rich_help_panel=_DATA)] = None,
    members: Annotated[int | None, typer.Option(help="Draw a split.", rich_help_panel=_DATA)] = None,
    non_members: Annotated[int | None, typer.Option(help="Draw a split.", rich_help_panel=_DATA)] = None,
    trained_images: Annotated[
        int | None,
        typer.Option(help="Members are users, of each of whom so many are trained on.", rich_help_panel=_DATA),
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="As many further images of each user in the split.", rich_help_panel=_DATA)
    ] = None,
    split_seed: Annotated[int | None, typer.Option(help="Of the drawn split.", rich_help_panel=_DATA)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...", rich_help_panel=_HOW)] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.", rich_help_panel=_HOW)] = None,
    threads: Annotated[int | None, typer.Option(help="torch threads.", rich_help_panel=_HOW)] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share each batch, through Ray. Default: 1.", rich_help_panel=_HOW)
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Epochs. Default: every half minute.", rich_help_panel=_HOW)
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Epochs between accuracies. Default: a fifth.", rich_help_panel=_HOW)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint, if any.", rich_help_panel=_HOW)
    ] = False,
    mlflow: Annotated[
        str | None,
        typer.Option(help='MLflow store; "none" for none. Default: a local one beside OUT.', rich_help_panel=_HOW),
    ] = None,
) -> None:
    """Train a recipe on a split's members and write a victim bundle; Ctrl-C saves, --resume goes on.

    Beside the bundle OUT lies the split that was drawn, OUT.split.parquet, for an audit.
    """
    from latentprint.core.files import named_folder
    from latentprint.core.samples import parse_size
    from latentprint.core.values import parse_pairs
    from latentprint.trainer.request import parse_defence, read_request

    users = {"trained_images": trained_images, "probes": probes}
    given: dict[str, Any] = {
        "recipe": recipe,
        "epochs": epochs,
        "options": parse_pairs(set_ or [], "--set"),
        "defences": [asdict(parse_defence(text)) for text in defence] if defence else None,
        "seed": seed,
        "data": data,
        "data_options": parse_pairs(data_option or [], "--data-option"),
        "images": images,
        "held_out": held_out,
        "side": None if side is None else parse_size(side, "--side"),
        "split": split,
        "members": members,
        "non_members": non_members,
        "split_seed": split_seed,
        "users": {key: value for key, value in users.items() if value is not None} or None,
        "device": device,
        "precision": precision,
        "threads": threads,
        "workers": workers,
        "checkpoint_every": checkpoint_every,
        "evaluate_every": evaluate_every,
    }
    out = named_folder(out)
    card = _run(read_request(config, given), out, mlflow, resume=resume)
    for key, name in _ACCURACIES.items():
        if key in card.training:
            typer.echo(f"{name}: {100 * card.training[key]:.1f} %")
    if split is None:
        typer.echo(f"split: {split_file(out)}")
    typer.echo(f"bundle: {out}")


def split_file(out: Path) -> Path:
    """Where the split is kept that was drawn for the bundle `out`."""
    return out.with_name(f"{out.name}.split.parquet")


def _run(request: "Request", out: Path, mlflow: str | None, *, resume: bool) -> "BundleCard":
    from rich.console import Console

    from latentprint.core.text import say
    from latentprint.core.tracking.models import log_model
    from latentprint.trainer.display import showing
    from latentprint.trainer.plan import make_plan
    from latentprint.trainer.recipes.base import needs_validation
    from latentprint.trainer.request import resolve_data
    from latentprint.trainer.training import train

    plan = make_plan(request.recipe, request.options, request.epochs, request.defences)
    console = Console(stderr=True, highlight=False)
    spec, split = resolve_data(
        request,
        split_file(out),
        needs_validation=needs_validation(plan.options),
        tell=lambda text: say(console, text),
    )
    with ExitStack() as stack:
        tracker = _tracker(request, out, mlflow, stack, console)
        on_progress = stack.enter_context(showing(request.recipe, console))
        card = train(
            request.recipe,
            request.options,
            spec,
            split,
            out,
            epochs=request.epochs,
            seed=request.seed,
            defences=request.defences,
            device=request.device,
            precision=request.precision,
            threads=request.threads,
            checkpoint_every=request.checkpoint_every,
            evaluate_every=request.evaluate_every,
            resume=resume,
            workers=request.workers,
            tracker=tracker,
            on_progress=on_progress,
        )
        if tracker is not None:
            log_model(tracker, card, out, out.name)
        return card


def _tracker(request: "Request", out: Path, mlflow: str | None, stack: ExitStack, console: "Console") -> "Run | None":
    if mlflow == "none":
        return None
    from latentprint.core.digests import digest_json
    from latentprint.core.tracking import default_uri, new_run, tracked

    root = out.resolve().parent
    key = digest_json({"out": str(out.resolve()), "request": repr(request)})
    run = new_run(mlflow or default_uri(root), "train", out.name, key, root / "mlflow" / "artifacts")
    return stack.enter_context(tracked(run, console))
