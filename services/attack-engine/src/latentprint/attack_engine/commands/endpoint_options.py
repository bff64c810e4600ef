"""How an endpoint is asked: the options that the commands have in common, declared once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latentprint.core.cli import refuse_unused
from latentprint.core.errors import UsageError
from latentprint.core.storage import VARIABLE

if TYPE_CHECKING:
    from latentprint.attack_engine.asking import EndpointSpec

ENDPOINT = "Endpoint"
_OF_SERVERS = ("--api-key-file", "--in-flight", "--timeout", "--output-name", "--canaries", "--canary-every")

ApiKeyFile = Annotated[Path | None, typer.Option(help="File that holds the endpoint's key.", rich_help_panel=ENDPOINT)]
InFlight = Annotated[int, typer.Option(help="Requests under way at once, of each worker.", rich_help_panel=ENDPOINT)]
ImagesPerRequest = Annotated[
    int | None, typer.Option(help="Images in one request; default: what it prefers.", rich_help_panel=ENDPOINT)
]
ImagesPerSecond = Annotated[
    float | None, typer.Option(help="Ceiling on the rate of all workers together.", rich_help_panel=ENDPOINT)
]
Timeout = Annotated[float, typer.Option(help="Seconds for one attempt.", rich_help_panel=ENDPOINT)]
OutputName = Annotated[
    list[str] | None,
    typer.Option(metavar="OUTPUT=NAME", help="The endpoint's own name for an output.", rich_help_panel=ENDPOINT),
]
Workers = Annotated[int, typer.Option(help="Processes that ask at the same time.")]
Storage = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar=VARIABLE,
        show_envvar=True,
        help="Where the nodes of a Ray cluster without a shared disk find and leave everything: s3://BUCKET/PREFIX, "
        "gs://..., or a folder of a shared volume.",
    ),
]
Root = Annotated[Path, typer.Option(help="Folder of all runs.")]


def require_storage(url: str) -> None:
    """Raise `UsageError` for a storage's URL that is none; "" is no storage. Nothing is written yet."""
    if url:
        from latentprint.core import storage

        storage.Storage(url).place("")


def named_endpoint(
    url: str, *, api_key_file: Path | None, output_name: Sequence[str] | None, **given: Any
) -> "EndpointSpec":
    """The endpoint at `url`, asked as these options say.

    Args:
        url: its address.
        api_key_file: see `EndpointSpec`, like the rest.
        output_name: OUTPUT=NAME each.
        given: further fields of `EndpointSpec`; None, for what was not given, leaves the usual value.

    Raises:
        UsageError: an address, a value or an output that is none.
    """
    from latentprint.attack_engine.asking import EndpointSpec

    return EndpointSpec(
        url,
        api_key_file=None if api_key_file is None else str(api_key_file),
        output_names=dict(pair(text, "--output-name") for text in output_name or []),
        **{key: value for key, value in given.items() if value is not None},
    )


def require_remote(url: str, given: Mapping[str, object], others: Sequence[str] = ()) -> None:
    """Raise `UsageError` for an option of `given` that is of servers, where none is asked: `url` and `others` are here.

    Args:
        url: of the endpoint.
        given: the options that were given, by flag.
        others: what else is asked as the endpoint is: addresses, bundles or other words.
    """
    from latentprint.attack_engine.asking.drivers import driver_of

    if driver_of(url).in_process and not any("://" in other for other in others):
        refuse_unused(given, _OF_SERVERS, f"is of a server, and {url} is opened in this process: leave it out.")


def pair(text: str, flag: str) -> tuple[str, str]:
    """KEY and VALUE of KEY=VALUE. Raises `UsageError` where it is none."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"{flag} {text!r}: write KEY=VALUE.")
    return key, value
