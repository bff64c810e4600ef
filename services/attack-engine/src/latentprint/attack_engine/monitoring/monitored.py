"""A run that can be watched: its metrics on a port and over OTLP, where these are asked for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from latentprint.attack_engine.scheduling.status import RunStatus
from latentprint.core.errors import Interrupted
from latentprint.core.telemetry.otlp import exported, is_asked_for
from latentprint.core.text import say

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_LAST_READ_SECONDS = 30.0  # two of the intervals at which Prometheus reads
SERVICE = "latentprint-attack-engine"


@contextmanager
def monitored(command: str, name: str, console: Console, *, host: str, port: int | None) -> Iterator[RunStatus]:
    """The status of a run, read by whoever watches until the block ends.

    Where Prometheus has been reading, the end of a run that was not stopped waits for it to read once more, half a
    minute at most: an error, or the last answers, would be lost otherwise.

    Args:
        command: that the run was started by, as "audit".
        name: of the run.
        console: where it is said that metrics are to be had.
        host: address to bind.
        port: of the metrics; 0 for a free one, None for none.

    Raises:
        UsageError: the port cannot be used, or OTLP is asked for in a way that is not known.
    """
    watched = port is not None or is_asked_for()
    status = RunStatus(watched=watched)
    with ExitStack() as opened:
        if watched:
            _export(status, command, name, console, host, port, opened)
        try:
            yield status
        except BaseException as error:
            status.ended_with(error)
            raise


def _export(
    status: RunStatus, command: str, name: str, console: Console, host: str, port: int | None, opened: ExitStack
) -> None:
    from latentprint.attack_engine.monitoring.metrics import run_registry

    registry = run_registry(status, command, name)
    if is_asked_for():
        opened.enter_context(exported(registry, SERVICE, console))
    if port is not None:
        opened.enter_context(_served(registry, console, host, port))


@contextmanager
def _served(registry: "CollectorRegistry", console: Console, host: str, port: int) -> Iterator[None]:
    from latentprint.core.telemetry.endpoint import MetricsEndpoint

    endpoint = MetricsEndpoint(registry, host, port)
    say(console, f"metrics on http://{host}:{endpoint.port}/metrics")
    stopped = False
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        stopped = True
        raise
    finally:
        if not stopped:
            endpoint.wait_for_reader(_LAST_READ_SECONDS)
        endpoint.close()
