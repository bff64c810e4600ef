"""How a run is watched: the options that the commands have in common, declared once."""

from typing import Annotated

import typer

from latentprint.core.checks import require

_PANEL = "Monitoring"

MetricsPort = Annotated[
    int | None,
    typer.Option(
        help="Serve Prometheus metrics over HTTP here while the run goes on; 0 for a free port.",
        envvar="LATENTPRINT_METRICS_PORT",
        rich_help_panel=_PANEL,
    ),
]
MetricsHost = Annotated[
    str,
    typer.Option(
        help="Address to bind for --metrics-port; 0.0.0.0 lets other machines read.",
        envvar="LATENTPRINT_METRICS_HOST",
        rich_help_panel=_PANEL,
    ),
]


def require_metrics_port(port: int | None) -> None:
    """Raise `UsageError` for a port that there is not."""
    require(port is None or 0 <= port < 2**16, "--metrics-port", port, "a port from 1 to 65535, or 0 for a free one")
