"""How a run is watched: the options that the commands have in common, declared once."""

from typing import Annotated

import typer

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
