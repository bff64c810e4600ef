"""OTLP against real receivers, over HTTP and over gRPC, that decode what they are sent."""

import io
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from rich.console import Console

from latentprint.core.errors import UsageError
from latentprint.core.telemetry.otlp import exported, is_asked_for

Received = list[ExportMetricsServiceRequest]
ENDPOINT, PROTOCOL = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"


@pytest.fixture
def over_http(otlp_over_http: tuple[str, Received]) -> tuple[str, Received]:
    otlp_over_http[1].clear()
    return otlp_over_http


@pytest.fixture
def over_grpc() -> Iterator[tuple[str, Received]]:
    received: Received = []

    class Receiver(MetricsServiceServicer):
        def Export(self, request: ExportMetricsServiceRequest, context: object) -> ExportMetricsServiceResponse:
            received.append(request)
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    add_MetricsServiceServicer_to_server(Receiver(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", received
    server.stop(0).wait()


def metrics(request: ExportMetricsServiceRequest) -> dict[str, object]:
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def resource(request: ExportMetricsServiceRequest) -> dict[str, str]:
    return {one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes}


def told() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("images", "Images", ["model"], registry=registry).labels("mae").inc(7)
    Gauge("queued", "Queued", registry=registry).set(3)
    seconds = Histogram("wait_seconds", "Waits", ["kind"], buckets=(0.1, 1.0), registry=registry)
    for value in (0.05, 0.5, 0.6, 9.0):
        seconds.labels("a").observe(value)
    return registry


@pytest.mark.parametrize(("receiver", "protocol"), [("over_http", "http/protobuf"), ("over_grpc", "grpc")])
def test_what_prometheus_reads_arrives_at_a_receiver(
    receiver: str, protocol: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = request.getfixturevalue(receiver)
    monkeypatch.setenv(ENDPOINT, url)
    monkeypatch.setenv(PROTOCOL, protocol)
    with exported(told(), "latentprint-test", Console(file=io.StringIO())):
        assert received == []
    (sent,) = received
    assert resource(sent)["service.name"] == "latentprint-test"
    found = metrics(sent)
    (images,) = found["images"].sum.data_points
    assert (images.as_double, images.attributes[0].key, images.attributes[0].value.string_value) == (7, "model", "mae")
    assert found["images"].sum.is_monotonic
    assert found["queued"].gauge.data_points[0].as_double == 3
    (waits,) = found["wait_seconds"].histogram.data_points
    assert (list(waits.bucket_counts), list(waits.explicit_bounds)) == ([1, 2, 1], [0.1, 1.0])
    assert (waits.count, waits.sum) == (4, pytest.approx(10.15))
    assert waits.start_time_unix_nano <= waits.time_unix_nano <= time.time_ns()


def test_it_is_sent_at_intervals_under_the_name_that_the_environment_gives(
    over_http: tuple[str, Received], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, received = over_http
    monkeypatch.setenv(ENDPOINT, url)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    registry = CollectorRegistry()
    counter = Counter("images", "Images", registry=registry)
    with exported(registry, "ours", Console(file=io.StringIO())):
        counter.inc()
        deadline = time.monotonic() + 10
        while len(received) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        counter.inc()
    values = [metrics(one)["images"].sum.data_points[0].as_double for one in received]
    assert len(values) >= 4
    assert values[-1] == 2
    assert {resource(one)["service.name"] for one in received} == {"theirs"}


def test_it_is_asked_for_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_asked_for()
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    assert is_asked_for()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not is_asked_for()


def nowhere(setenv: Callable[[str, str], None]) -> str:
    said = io.StringIO()
    setenv(ENDPOINT, "http://127.0.0.1:9")
    with exported(CollectorRegistry(), "ours", Console(file=said, width=400)):
        pass
    return said.getvalue()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_is_away_ends_nothing_and_holds_up_no_longer_than_its_time_limit(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROTOCOL, protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    started = time.monotonic()
    assert nowhere(monkeypatch.setenv) == ""
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("name", "value"), [(PROTOCOL, "carrier-pigeon"), ("OTEL_METRIC_EXPORT_INTERVAL", "often")])
def test_what_the_environment_cannot_mean_is_a_sentence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}.*{value}"):
        nowhere(monkeypatch.setenv)


def test_where_nothing_that_sends_is_installed_that_is_said_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    said = nowhere(monkeypatch.setenv)
    assert f"{ENDPOINT} is set, but nothing is sent" in said
    assert "latentprint-core[telemetry]" in said
