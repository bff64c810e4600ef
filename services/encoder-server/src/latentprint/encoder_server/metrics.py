"""What Prometheus is told, on a registry of the server's own."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from latentprint.encoder_server.refusals import REASONS

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
MAX_SIZES = 64  # sizes of samples that are counted apart
OTHER = "other"
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_DIGEST_LENGTH = 16


class Metrics:
    """Requests by code, refusals by reason, images answered and replayed, batches, forwards, queue, and readiness.

    Args:
        queued: reads the number of images that wait.
        most_queued: images that may wait.
    """

    def __init__(self, queued: Callable[[], int], most_queued: int = 0) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._sizes: set[str] = set()
        self._requests = self._counter("requests", "Calls by method and status code", "method", "code")
        self._refusals = self._counter("refusals", "Calls that were refused, by reason", "method", "reason")
        for reason in REASONS:
            self._refusals.labels("ModelInfer", reason)  # 0 from the start, so that the first one is a rise
        self._seconds = self._seconds_of("request", "Time from a call's arrival to its answer", "method")
        self._answered = self._counter("answered_images", "Images answered by the model", "outputs", "size")
        self._replayed = self._counter("replayed_images", "Images answered from kept answers", "outputs", "size")
        self._batches = Histogram(
            "latentprint_batch_images", "Images in a forward", buckets=_IMAGES, registry=self.registry
        )
        self._waits = self._seconds_of("queue", "Time that a request waits for a device")
        self._forwards = self._seconds_of("forward", "Time that a batch takes on its device")
        self._gauge("queued_images", "Images that wait for a device").set_function(queued)
        self._gauge("queue_limit_images", "Images that may wait for a device").set(most_queued)
        self._ready = self._gauge("ready", "1 while calls are taken, 0 from when the server was told to stop")
        self._model = self._gauge("model_info", "The model that is served", "model", "weights", "version")

    def serving(self, model: str, weights: str, version: str) -> None:
        """Calls are taken from now on, for this model of weights with this digest, by this version of the server."""
        self._model.labels(model, weights[:_DIGEST_LENGTH], version).set(1)
        self._ready.set(1)

    def draining(self) -> None:
        """The server was told to stop."""
        self._ready.set(0)

    def call(self, method: str, code: str, seconds: float) -> None:
        """Count one call that ended with `code`."""
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def refused(self, method: str, reason: str) -> None:
        """Count one call that was refused; `reason` is `Refusal.reason`."""
        self._refusals.labels(method, reason).inc()

    def batch(self, images: int, waited: Sequence[float], took: float) -> None:
        """Count one forward, the seconds that each of its requests waited for it, and those that it took."""
        self._batches.observe(images)
        self._forwards.observe(took)
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

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"latentprint_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"latentprint_{name}", meaning, labels, registry=self.registry)

    def _seconds_of(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(f"latentprint_{name}_seconds", meaning, labels, buckets=_SECONDS, registry=self.registry)
