"""What Prometheus is told, on a registry of the server's own."""

import threading
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from latentprint.core.errors import UsageError

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
MAX_SIZES = 64  # sizes of samples that are counted apart
OTHER = "other"
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Requests by code, images answered and replayed, batch sizes, queue depth and wait, and latency.

    Args:
        queued: reads the number of images that wait.
    """

    def __init__(self, queued: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "latentprint_requests", "Calls by method and status code", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "latentprint_request_seconds",
            "Time from a call's arrival to its answer",
            ["method"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._sizes: set[str] = set()
        labels = ["outputs", "size"]
        self._answered = Counter(
            "latentprint_answered_images", "Images answered by the model", labels, registry=self.registry
        )
        self._replayed = Counter(
            "latentprint_replayed_images", "Images answered from kept answers", labels, registry=self.registry
        )
        self._batches = Histogram(
            "latentprint_batch_images", "Images in a forward", buckets=_IMAGES, registry=self.registry
        )
        self._waits = Histogram(
            "latentprint_queue_seconds",
            "Time that a request waits for a device",
            buckets=_SECONDS,
            registry=self.registry,
        )
        gauge = Gauge("latentprint_queued_images", "Images that wait for a device", registry=self.registry)
        gauge.set_function(queued)

    def call(self, method: str, code: str, seconds: float) -> None:
        """Count one call that ended with `code`."""
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def batch(self, images: int, waited: Sequence[float]) -> None:
        """Count one forward, and the seconds that each of its requests waited for it."""
        self._batches.observe(images)
        for seconds in waited:
            self._waits.observe(seconds)

    def answered(self, shape: Sequence[int], outputs: Sequence[str]) -> None:
        """Count the samples of a request of `shape` [B, H, W, 3] or [B, F] that the model answered."""
        self._answered.labels(*self._labels(shape, outputs)).inc(shape[0])

    def replayed(self, shape: Sequence[int], outputs: Sequence[str]) -> None:
        """Count the samples of a request of `shape` that needed no forward of their own."""
        self._replayed.labels(*self._labels(shape, outputs)).inc(shape[0])

    def _labels(self, shape: Sequence[int], outputs: Sequence[str]) -> tuple[str, str]:
        """Outputs and size; beyond the first `MAX_SIZES` sizes, which callers choose, all are one."""
        size = "x".join(str(side) for side in shape[1:3])
        if size not in self._sizes and len(self._sizes) >= MAX_SIZES:
            return "+".join(outputs), OTHER
        self._sizes.add(size)
        return "+".join(outputs), size


class MetricsEndpoint:
    """`/metrics` over HTTP.

    Raises:
        UsageError: the port is in use.
    """

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, metrics.registry)
        except OSError as error:
            raise UsageError(f"The metrics port {port} on {host} cannot be used: {error.strerror}.") from None

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        thread: threading.Thread = self._thread
        thread.join()
