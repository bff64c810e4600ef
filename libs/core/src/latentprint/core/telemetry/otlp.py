"""The metrics that Prometheus reads, sent over OTLP as well: where OpenTelemetry's environment variables ask for it.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rich.console import Console

from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.text import say

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_INTERVAL, _USUAL_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL", "60000"  # milliseconds
_HTTP, _GRPC = "http/protobuf", "grpc"
_MODULES = {
    _HTTP: "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    _GRPC: "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
}


def is_asked_for() -> bool:
    """Whether metrics are to be sent: an endpoint is named, and OpenTelemetry not switched off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not off and os.environ.get("OTEL_METRICS_EXPORTER") != "none" and bool(_first(_ENDPOINTS))


@contextmanager
def exported(registry: "CollectorRegistry", service: str, console: Console) -> Iterator[None]:
    """Send what `registry` holds at intervals, and once more when the block ends.

    A collector that is away loses what it was not sent, and stops nothing. Where the packages that send are not
    installed, that is said, and nothing is sent: the variables may be meant for another program.

    Args:
        registry: what is told.
        service: `service.name`, unless OTEL_SERVICE_NAME gives another.
        console: where it is said that nothing is sent.

    Raises:
        UsageError: a protocol or an interval that there is not.
    """
    exporter, seconds = _exporter(console), _interval()
    sending = nullcontext() if exporter is None else _sending(exporter, registry, service, seconds)
    with sending:
        yield


@contextmanager
def _sending(exporter: Any, registry: "CollectorRegistry", service: str, seconds: float) -> Iterator[None]:
    from latentprint.core.telemetry.otlp_metrics import resource_of, sent_as

    resource, ended, started = resource_of(service), threading.Event(), time.time_ns()

    def send() -> None:
        exporter.export(sent_as(registry, resource, started))

    def keep_sending() -> None:
        while not ended.wait(seconds):
            send()

    thread = threading.Thread(target=keep_sending, daemon=True, name="otlp")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        send()
        exporter.shutdown()


def _exporter(console: Console) -> Any:
    """The exporter of the protocol that the environment names; None where it is not installed."""
    from importlib import import_module

    protocol = _first(_PROTOCOLS) or _HTTP
    if protocol not in _MODULES:
        raise unknown_name("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, _MODULES)
    try:
        module = import_module(_MODULES[protocol])
    except ModuleNotFoundError as error:
        asked = next(name for name in _ENDPOINTS if os.environ.get(name))
        say(
            console,
            f"{asked} is set, but nothing is sent: {error.name} is not installed. pip install "
            f"'latentprint-core[telemetry]=={version('latentprint-core')}', or unset it.",
        )
        return None
    return module.OTLPMetricExporter()


def _interval() -> float:
    """Seconds between two exports."""
    text = os.environ.get(_INTERVAL) or _USUAL_INTERVAL
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{_INTERVAL}={text!r} is no number of milliseconds: give a whole one above 0.")
    return int(text) / 1000


def _first(names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := os.environ.get(name, ""))), "")
