"""`latentprint audit`: attack a live endpoint and report."""

from pathlib import Path
from typing import Annotated

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
    require_storage,
)
from latentprint.attack_engine.commands.monitoring_options import MetricsHost, MetricsPort, require_metrics_port
from latentprint.core.checks import require, require_folder_name, require_seed
from latentprint.core.cli import given_options

MOST_SIDE = 8192  # pixels; beyond it one image fills a message
_SAMPLES, _ADVERSARY, _CONTROLS = "Samples", "Adversary", "Controls"


def register(app: typer.Typer) -> None:
    """Add `audit` to the command line."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar="grpc://HOST:PORT[/MODEL]", help="The endpoint to audit.")],
    question: Annotated[
        str,
        typer.Option(help="What is asked about the encoder, of `latentprint list questions`; default: membership."),
    ] = "",
    attack: Annotated[
        str,
        typer.Option(
            help="Attacks, comma-separated; join signals with +, as in partcrop+encodermi. Default: the question's."
        ),
    ] = "",
    attribute: Annotated[
        str,
        typer.Option(
            help="Of --question attributes: what is inferred, an attribute of the split's data set, or class: the "
            "folders that the images are sorted into. Default: class."
        ),
    ] = "",
    attack_option: Annotated[
        list[str] | None, typer.Option(metavar="ATTACK.KEY=VALUE", help="An attack's option, as partcrop.crops=64.")
    ] = None,
    version_range: Annotated[
        str,
        typer.Option(
            "--range",
            help="Versions of an image that count as the image, comma-separated: crops, flips, shifts, jpeg. Default: "
            "the image alone.",
        ),
    ] = "",
    range_draws: Annotated[int, typer.Option(help="Versions of each image that are asked about, with --range.")] = 8,
    inference: Annotated[
        str, typer.Option(help="mlp, logistic, deep-sets or threshold; default: the attack's own.")
    ] = "",
    split: Annotated[
        Path | None, typer.Option(help="A split's file: who is a member.", rich_help_panel=_SAMPLES)
    ] = None,
    members: Annotated[
        Path | None,
        typer.Option(
            "--members",
            "--private",
            help="Folder of images that were trained on; asking about users, with a sub-folder for each, and about "
            "ownership, the victim's private ones.",
            rich_help_panel=_SAMPLES,
        ),
    ] = None,
    non_members: Annotated[
        Path | None,
        typer.Option(
            "--non-members",
            "--test",
            help="Folder of images that were not, drawn alike.",
            rich_help_panel=_SAMPLES,
        ),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images whose membership is asked for: how many of them were trained on, and which.",
            rich_help_panel=_SAMPLES,
        ),
    ] = None,
    fdr: Annotated[
        float,
        typer.Option(help="Share of false calls that members lists allow, on average.", rich_help_panel=_SAMPLES),
    ] = 0.05,
    auxiliary: Annotated[
        Path | None,
        typer.Option(
            help="The adversary's own samples, for attacks that imitate the endpoint: a split's file, or a folder of "
            "images like --members, of which a quarter are members and a quarter non-members of its shadow model, and "
            "half are distilled with.",
            rich_help_panel=_ADVERSARY,
        ),
    ] = None,
    shadow_recipe: Annotated[
        str,
        typer.Option(
            help="Recipe of the adversary's shadow model; default: supervised, of the architecture on the endpoint's "
            "card, where it answers posteriors.",
            rich_help_panel=_ADVERSARY,
        ),
    ] = "",
    shadow_epochs: Annotated[
        int, typer.Option(help="Epochs that the shadow model is trained for.", rich_help_panel=_ADVERSARY)
    ] = 60,
    shadow_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the shadow model's recipe.", rich_help_panel=_ADVERSARY),
    ] = None,
    side: Annotated[
        str,
        typer.Option(
            metavar="SIDE|HxW",
            help="Size to bring the folders' images to; 0 asks the endpoint.",
            rich_help_panel=_SAMPLES,
        ),
    ] = "0",
    known_fraction: Annotated[
        float, typer.Option(help="Share of the folders' images known to the adversary.", rich_help_panel=_SAMPLES)
    ] = 0.5,
    knowledge: Annotated[
        list[float] | None, typer.Option(help="Repeat with this share of the samples known.", rich_help_panel=_SAMPLES)
    ] = None,
    queries: Annotated[
        list[int] | None,
        typer.Option(help="Repeat as if so many images a sample had been asked; costs none.", rich_help_panel=_SAMPLES),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            help="Images the endpoint may be asked at most, by earlier audits below --root too.",
            rich_help_panel=ENDPOINT,
        ),
    ] = None,
    api_key_file: ApiKeyFile = None,
    in_flight: InFlight = 4,
    images_per_request: ImagesPerRequest = None,
    images_per_second: ImagesPerSecond = None,
    timeout: Timeout = 60.0,
    output_name: OutputName = None,
    canaries: Annotated[
        int | None,
        typer.Option(
            help="Generated samples asked again and again to tell whether the model stays the same; 0 for none. "
            "Default: 4, and none where the server publishes a digest of all that its answers depend on.",
            rich_help_panel=_CONTROLS,
        ),
    ] = None,
    canary_every: Annotated[
        int | None,
        typer.Option(
            help="Images that a worker asks between two such checks. Default: 1000.", rich_help_panel=_CONTROLS
        ),
    ] = None,
    untrained: Annotated[
        str,
        typer.Option(
            help="Null control: an untrained encoder of the same architecture, as grpc://..., a bundle or timm:NAME. "
            "auto builds it from the endpoint's card where that says how; none leaves it out.",
            rich_help_panel=_CONTROLS,
        ),
    ] = "auto",
    reference: Annotated[
        str,
        typer.Option(
            help="Placebo control: a trained encoder that saw neither members nor non-members, as grpc://..., a bundle "
            "or timm:NAME.",
            rich_help_panel=_CONTROLS,
        ),
    ] = "",
    victim: Annotated[
        str,
        typer.Option(
            help="Positive control of an audit of ownership: the encoder that the audited one may be stolen from, as "
            "grpc://..., a bundle or timm:NAME.",
            rich_help_panel=_CONTROLS,
        ),
    ] = "",
    split_by: Annotated[
        str,
        typer.Option(
            help="How members were told from non-members: coin (at random, from one source), time or source; default: "
            "what the split's file says, else unknown.",
            rich_help_panel=_CONTROLS,
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of crops, views, fits and bootstraps.")] = 0,
    workers: Workers = 2,
    keep_answers: Annotated[bool, typer.Option("--keep-answers", help="Keep every answer on disk.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the kept answers, signals and cells of this endpoint first.")
    ] = False,
    root: Root = Path("runs"),
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    storage: Storage = "",
    name: Annotated[str, typer.Option(help="Name of the audit: its folder, and MLflow's experiment.")] = "audit",
) -> None:
    """Audit a live endpoint: plan, query, attack, evaluate, report. Runs again where it stopped."""
    from latentprint.attack_engine.attacks.fitting.sweeps import SweepChoice
    from latentprint.attack_engine.commands.audit_options import (
        NamedFolders,
        chosen_attacks,
        named_samples,
        require_used,
        shadow_options,
    )
    from latentprint.attack_engine.monitoring.monitored import monitored
    from latentprint.attack_engine.runs.audit_request import LiveAudit
    from latentprint.attack_engine.runs.auxiliary import ShadowOptions
    from latentprint.attack_engine.runs.layout import RESERVED
    from latentprint.attack_engine.runs.live import run_audit
    from latentprint.attack_engine.runs.stored_signals import AskingOptions
    from latentprint.core.mirror import mirrored
    from latentprint.core.samples import height_width, parse_size
    from latentprint.core.telemetry.logs import log_console, log_libraries

    console = log_console()
    log_libraries()
    require_storage(storage)
    require_metrics_port(metrics_port)
    require(0 < known_fraction < 1, "--known-fraction", known_fraction, "above 0 and below 1")
    size = 0 if side == "0" else parse_size(side, "--side")
    require(max(height_width(size)) <= MOST_SIDE, "--side", side, f"at most {MOST_SIDE} pixels")
    require(0 < fdr < 1, "--fdr", fdr, "above 0 and below 1")
    require_seed("--seed", seed)
    require_folder_name("--name", name, RESERVED)
    asking = AskingOptions(workers, budget, keep_answers)
    sweeps = SweepChoice(tuple(knowledge or ()), tuple(queries or ()))
    spec = named_endpoint(
        endpoint,
        api_key_file=api_key_file,
        output_name=output_name,
        timeout_seconds=timeout,
        in_flight=in_flight,
        images_per_request=images_per_request,
        images_per_second=images_per_second,
        canaries=canaries,
        canary_every=canary_every,
    )
    ranged = tuple(one.strip() for one in version_range.split(",") if one.strip()), range_draws
    attacks = chosen_attacks(attack, question, attribute, attack_option or [], inference, ranged, seed)
    require_used(attacks, endpoint, given_options(context))
    folders = NamedFolders(members, non_members, candidates)
    dataset, drawn = named_samples(split, folders, attacks, spec, size, known_fraction, seed)
    if split_by:
        drawn = drawn.stated(split_by)
    shadow = ShadowOptions(shadow_recipe, shadow_epochs, shadow_options(shadow_option or []))
    controls = untrained, seed, asking, sweeps, fresh, reference, victim
    live = LiveAudit(name, spec, attacks, dataset, drawn, *controls, auxiliary, shadow, fdr)
    with (
        mirrored(root, storage),
        monitored("audit", name, console, host=metrics_host, port=metrics_port) as status,
    ):
        run_audit(live, root, console, status=status)
