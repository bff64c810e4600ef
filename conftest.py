"""What the tests of every package share: their order, one Ray for those that only use it, and a receiver of OTLP."""

from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from latentprint.core.ray_session import session

WORKERS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, of those that cross packages before the others: what is quick fills up the end.

    Processes take files one by one (`--dist loadfile`); a long one taken last would be waited for by all others.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    across = Path(__file__).with_name("tests")
    items.sort(key=lambda item: (item.path not in slow, across not in item.path.parents))


@pytest.fixture(scope="session")
def cluster(shared_ray: ExitStack) -> None:
    """One Ray with room for two workers for all tests of this process that use Ray and do not start or stop it."""
    import ray

    shared_ray.enter_context(session(ray, WORKERS))


@pytest.fixture(scope="module")
def no_cluster(shared_ray: ExitStack) -> Iterator[None]:
    """No Ray in this process until the module's tests have ended: they start one of their own."""
    import ray

    started = ray.is_initialized()
    shared_ray.close()
    yield
    if started:
        shared_ray.enter_context(session(ray, WORKERS))


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[ExitStack]:
    """What `cluster` holds open."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture(scope="module")
def otlp_over_http() -> Iterator[tuple[str, list[Any]]]:
    """The address of a receiver of metrics over OTLP, and what it has received, decoded."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as otlp

    received: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep what comes to the one path that there is."""
            assert self.path == "/v1/metrics"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(otlp.ExportMetricsServiceRequest.FromString(body))
            answer = otlp.ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()
