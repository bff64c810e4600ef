"""Metrics over HTTP, as Prometheus reads them."""

import threading
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from latentprint.core.errors import UsageError

_ASK_AGAIN = 0.05


class MetricsEndpoint:
    """`/metrics` over HTTP.

    Args:
        registry: what is told.
        host: address to bind.
        port: to bind, below 65536; 0 for a free one.

    Raises:
        UsageError: the port is in use, or the address not this machine's.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._read = _CountedReads(registry)
        try:
            self._server, self._thread = start_http_server(port, host, self._read)
        except OSError as error:
            raise UsageError(f"The metrics port {port} on {host} cannot be used: {error.strerror}.") from None

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_port)

    def wait_for_reader(self, seconds: float) -> None:
        """Wait until the metrics are read once more, at most `seconds`; not at all where nobody ever read them.

        A process that ends takes with it what was not read since.
        """
        before, until = self._read.count, time.monotonic() + seconds
        while before and self._read.count == before and time.monotonic() < until:
            time.sleep(_ASK_AGAIN)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        thread: threading.Thread = self._thread
        thread.join()


class _CountedReads(Collector):
    """A registry that counts how often it is read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.count = 0

    def collect(self) -> Iterable[Metric]:
        """All metrics."""
        self.count += 1
        return self._registry.collect()

    def restricted_registry(self, names: Iterable[str]) -> Collector:
        """Those of `names`, as a reader may ask for."""
        self.count += 1
        return self._registry.restricted_registry(names)
