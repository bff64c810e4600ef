"""The server: everything put together, warmed up, served, and drained when asked to go."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from leakscope.core.errors import UsageError
from leakscope.core.oip import METHODS
from leakscope.core.samples import blank_samples
from leakscope.encoder_server.batcher import Batcher
from leakscope.encoder_server.calls import observed
from leakscope.encoder_server.deterministic import FixedForward
from leakscope.encoder_server.forward import Forward
from leakscope.encoder_server.inference import InferenceService
from leakscope.encoder_server.keys import KeyInterceptor, read_keys
from leakscope.encoder_server.metadata import model_metadata
from leakscope.encoder_server.metrics import Metrics, MetricsEndpoint
from leakscope.encoder_server.reflection import standard_pool
from leakscope.encoder_server.settings import Settings
from leakscope.encoder_server.sizes import Sizes
from leakscope.encoder_server.victims import Victim

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED.name
_SMALLEST_PING_MS = 10_000


class Server:
    """A victim served over gRPC, between `start` and `drain`.

    Args:
        victim: what is served.
        settings: how.
    """

    def __init__(self, victim: Victim, settings: Settings) -> None:
        self.victim = victim
        self.port = settings.listening.port
        self.metrics_port: int | None = None
        self._settings = settings
        self._health = health.aio.HealthServicer()
        self._endpoint: MetricsEndpoint | None = None

    async def start(self) -> None:
        """Warm up and serve; returns once health says SERVING.

        Raises:
            UsageError: a port in use or a device that is not there.
            DataError: an API key file that is missing or empty.
        """
        keys = self._keys()
        forwards = _forwards(self.victim, self._settings)
        await asyncio.to_thread(_warm_up, forwards, self.victim)
        limits = self._settings.limits
        self.metrics = Metrics(lambda: self._batcher.queue.images)
        self._batcher = Batcher(forwards, self._settings.batching, limits.max_queued_images, self.metrics.batch)
        sizes = Sizes(self._batcher, self.victim.encoder.outputs, limits.max_side)
        shapes = await sizes.shapes(self.victim.sample_shape)
        metadata = model_metadata(self.victim, shapes, self._settings)
        self._service = InferenceService(metadata, self._batcher, sizes, limits, self.metrics)
        await self._listen(keys)
        await self._set_health(_SERVING)

    async def drain(self) -> None:
        """Say NOT_SERVING, let callers notice, refuse new calls, finish those under way, and stop."""
        self._service.ready = False
        await self._set_health(_NOT_SERVING)
        await asyncio.sleep(self._settings.listening.settle_seconds)
        await self.stop(self._settings.listening.grace_seconds)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, give those under way `grace` seconds, and stop."""
        await self._grpc.stop(grace)
        await self._batcher.close()
        if self._endpoint is not None:
            self._endpoint.close()

    def _keys(self) -> tuple[str, ...]:
        path = self._settings.listening.api_key_file
        return () if path is None else read_keys(path)

    async def _listen(self, keys: Sequence[str]) -> None:
        listening = self._settings.listening
        self._grpc = grpc.aio.server(
            interceptors=[KeyInterceptor(keys, self._refused)] if keys else [],
            options=_options(self._settings.limits.max_message_bytes),
        )
        self._grpc.add_generic_rpc_handlers((self._generic_handler(listening.service),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        listed = (listening.service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(listed, self._grpc, pool=standard_pool(listening.service))
        self.port = _bind(self._grpc, listening.host, listening.port)
        if listening.metrics_port is not None:
            self._endpoint = MetricsEndpoint(self.metrics, listening.host, listening.metrics_port)
            self.metrics_port = self._endpoint.port
        await self._grpc.start()

    def _generic_handler(self, service: str) -> Any:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                observed(name, handler, self.metrics),
                request_deserializer=METHODS[name].request.FromString,
                response_serializer=METHODS[name].response.SerializeToString,
            )
            for name, handler in self._service.handlers().items()
        }
        return grpc.method_handlers_generic_handler(service, handlers)

    def _refused(self, path: str) -> None:
        self.metrics.call(path.rpartition("/")[2], _UNAUTHENTICATED, 0.0)

    async def _set_health(self, status: Any) -> None:
        for name in ("", self._settings.listening.service, self.victim.name):
            await self._health.set(name, status)


def address(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _forwards(victim: Victim, settings: Settings) -> list[Forward]:
    kind = FixedForward if settings.batching.deterministic else Forward
    compute = settings.compute
    return [kind(victim.encoder, device, compute, settings.batching.max_batch) for device in compute.devices]


def _warm_up(forwards: Sequence[Forward], victim: Victim) -> None:
    probe = blank_samples(2, victim.sample_shape)
    for forward in forwards:
        forward.prepare_thread()
        forward(probe, victim.encoder.outputs)


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _SMALLEST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _bind(server: Any, host: str, port: int) -> int:
    try:
        bound = int(server.add_insecure_port(address(host, port)))
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise UsageError(
            f"Port {port} on {host} is in use or not allowed: give another with --port, or 0 for a free one."
        )
    return bound
