"""`latentprint serve`: a bundle or a timm model as a black box over gRPC."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentprint.core.channels import parse_mean, parse_std
from latentprint.core.checks import require_seed
from latentprint.core.cli import given_options, refuse_unused
from latentprint.core.errors import UsageError
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.oip import SERVICE
from latentprint.core.values import parse_value
from latentprint.encoder_server.logs import log_to_stderr
from latentprint.encoder_server.settings import (
    HUB,
    Batching,
    Compute,
    Inputs,
    Limits,
    Listening,
    Obfuscation,
    Settings,
)

if TYPE_CHECKING:
    from latentprint.encoder_server.victims import Victim

TIMM, MODELS = "timm:", "models:/"
_DEFAULT = Settings()
_LISTENING, _BATCHING, _COMPUTE, _LIMITS = "Listening", "Batching", "Compute", "Limits"


def register(app: typer.Typer) -> None:
    """Add `serve` to the command line."""
    app.command("serve")(serve)


def serve(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE|timm:NAME|models:/NAME@ALIAS",
            help="A bundle's folder, a timm model, or a version of a model that is registered in MLflow.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Model name to serve under. Default: the folder's or timm's.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=BUNDLE",
            help="A further bundle or timm model, on a free port of the same process; --port-file names all in order.",
        ),
    ] = None,
    outputs: Annotated[
        str, typer.Option(help="Public outputs, comma-separated, of those the model allows. Default: all.")
    ] = "",
    weights: Annotated[str, typer.Option(help="Of a timm model: hub (safetensors only) or random.")] = HUB,
    seed: Annotated[int, typer.Option(help="Of random weights.")] = 0,
    model_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Keyword argument of a timm model, such as img_size=32."),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HxW", help="Size of the images that a timm model is made for. Default: the architecture's."
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of a timm model's images, scaled to [0, 1]. Default: its own.")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="As --mean.")] = None,
    host: Annotated[str, typer.Option(help="Address to bind.", rich_help_panel=_LISTENING)] = _DEFAULT.listening.host,
    port: Annotated[
        int, typer.Option(help="gRPC port; 0 for a free one.", rich_help_panel=_LISTENING)
    ] = _DEFAULT.listening.port,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the port here once serving.", rich_help_panel=_LISTENING)
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics over HTTP here.", rich_help_panel=_LISTENING)
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="Accepted API keys, one a line; health checks need none.", rich_help_panel=_LISTENING),
    ] = None,
    service: Annotated[
        str, typer.Option(help="Full gRPC service name to answer under.", rich_help_panel=_LISTENING)
    ] = SERVICE,
    settle_seconds: Annotated[
        float, typer.Option(help="When told to stop: time for callers to notice.", rich_help_panel=_LISTENING)
    ] = _DEFAULT.listening.settle_seconds,
    grace_seconds: Annotated[
        float, typer.Option(help="When told to stop: time for calls under way.", rich_help_panel=_LISTENING)
    ] = _DEFAULT.listening.grace_seconds,
    until_stdin_closes: Annotated[
        bool,
        typer.Option(
            "--until-stdin-closes", help="Stop as well when standard input closes.", rich_help_panel=_LISTENING
        ),
    ] = _DEFAULT.listening.until_stdin_closes,
    max_connection_age: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Have clients renew a connection of this age, so that they meet new replicas. Default: never.",
            rich_help_panel=_LISTENING,
        ),
    ] = _DEFAULT.listening.max_connection_age,
    max_connection_age_grace: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="For calls under way on such a connection. Default: as long as they take.",
            rich_help_panel=_LISTENING,
        ),
    ] = _DEFAULT.listening.max_connection_age_grace,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            help="Serve over TLS with this certificate, PEM; a renewed one is taken up.", rich_help_panel=_LISTENING
        ),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="The certificate's private key, PEM.", rich_help_panel=_LISTENING)
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(help="Answer health checks here too, never over TLS.", rich_help_panel=_LISTENING),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(help="Images of up to 224 x 224 in one forward.", rich_help_panel=_BATCHING)
    ] = _DEFAULT.batching.max_batch,
    max_delay_ms: Annotated[
        float, typer.Option(help="How long a free device waits for a batch to fill.", rich_help_panel=_BATCHING)
    ] = _DEFAULT.batching.max_delay_seconds * 1000,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="Same image, same bits, in any batch; slower.", rich_help_panel=_BATCHING),
    ] = False,
    obfuscate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=AMOUNT]",
            help="Change embeddings and feature maps as a thief may: permutation, padding=COLUMNS, linear, "
            "rounding=DECIMALS; several apply in order.",
            rich_help_panel=_COMPUTE,
        ),
    ] = None,
    obfuscate_seed: Annotated[
        int, typer.Option(help="Of what --obfuscate draws.", rich_help_panel=_COMPUTE)
    ] = _DEFAULT.obfuscation.seed,
    device: Annotated[
        str, typer.Option(help="torch device, or several, comma-separated.", rich_help_panel=_COMPUTE)
    ] = ",".join(_DEFAULT.compute.devices),
    threads: Annotated[
        int, typer.Option(help="torch threads on the CPU; 0 for torch's choice.", rich_help_panel=_COMPUTE)
    ] = _DEFAULT.compute.threads,
    precision: Annotated[
        str, typer.Option(help="fp32 or bf16.", rich_help_panel=_COMPUTE)
    ] = _DEFAULT.compute.precision,
    max_images_per_request: Annotated[
        int, typer.Option(help="Images in one request.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.max_images_per_request,
    max_message_bytes: Annotated[
        int, typer.Option(help="Bytes of one message.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.max_message_bytes,
    max_queued_images: Annotated[
        int, typer.Option(help="Images that may wait for the device.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.max_queued_images,
    max_queued_bytes: Annotated[
        int, typer.Option(help="Bytes of the images that may wait.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.max_queued_bytes,
    max_side: Annotated[
        int, typer.Option(help="Longest side of an image, pixels.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.max_side,
    replay_bytes: Annotated[
        int, typer.Option(help="Bytes of kept answers to requests with an id.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.limits.replay_bytes,
) -> None:
    """Serve an encoder as a black box over gRPC (Open Inference Protocol v2)."""
    from latentprint.core.samples import parse_size
    from latentprint.encoder_server.lifecycle import serve_until_told
    from latentprint.encoder_server.victims import check_model_name

    log_to_stderr()
    settings = Settings(
        Limits(max_images_per_request, max_message_bytes, max_queued_images, max_side, replay_bytes, max_queued_bytes),
        Batching(max_batch, max_delay_ms / 1000, deterministic),
        Compute(tuple(_listed(device)), threads, precision),
        Listening(
            host,
            port,
            port_file,
            metrics_port,
            api_key_file,
            service,
            settle_seconds,
            grace_seconds,
            until_stdin_closes,
            max_connection_age,
            max_connection_age_grace,
            tls_cert,
            tls_key,
            health_port,
        ),
        Obfuscation(tuple(map(ObfuscationStep.parse, obfuscate or [])), obfuscate_seed),
    )
    inputs = Inputs(
        None if image_size is None else parse_size(image_size, "--image-size"),
        None if mean is None else parse_mean(mean, "--mean"),
        None if std is None else parse_std(std, "--std"),
    )
    named = [_named(text) for text in also or []]
    for called in (*([] if name is None else [name]), *(called for called, _ in named)):
        check_model_name(called)
    require_seed("--seed", seed)
    given, of_timm = given_options(context), any(one.startswith(TIMM) for one in (source, *(one for _, one in named)))
    if not of_timm:
        refuse_unused(given, ["--weights", "--seed"], "is of timm models; a bundle has its own weights.")
    if weights == HUB:
        refuse_unused(given, ["--seed"], "is of --weights random; those of the hub are drawn by nobody.")
    if not obfuscate:
        refuse_unused(given, ["--obfuscate-seed"], "is of what --obfuscate draws: name that too.")
    victim = _victim(source, name, _listed(outputs), weights, seed, model_arg or [], inputs)
    further = [_victim(other, called, [], weights, seed, [], Inputs()) for called, other in named]
    asyncio.run(serve_until_told([victim, *further], settings))


def _named(text: str) -> tuple[str, str]:
    name, sign, source = text.partition("=")
    if not sign:
        raise UsageError(f"--also {text!r}: write NAME=BUNDLE.")
    return name, source


def _victim(
    source: str, name: str | None, outputs: list[str], weights: str, seed: int, model_args: list[str], inputs: Inputs
) -> "Victim":
    if source.startswith(TIMM):
        from latentprint.encoder_server.timm_models import from_timm

        architecture, options = source.removeprefix(TIMM), _options(model_args)
        return from_timm(architecture, name, outputs, weights=weights, seed=seed, options=options, inputs=inputs)
    if model_args or inputs != Inputs():
        raise UsageError(
            "--model-arg, --image-size, --mean and --std belong to timm models; a bundle says itself how its model is "
            "made."
        )
    if source.startswith(MODELS):
        from latentprint.encoder_server.registered import from_registry

        return from_registry(source, name, outputs)
    from latentprint.encoder_server.victims import from_bundle

    return from_bundle(Path(source), name, outputs)


def _options(model_args: list[str]) -> dict[str, Any]:
    options = {}
    for argument in model_args:
        key, sign, value = argument.partition("=")
        if not sign:
            raise UsageError(f"--model-arg {argument!r}: write KEY=VALUE.")
        options[key] = parse_value(value, f"--model-arg {key}")
    return options


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
