"""The server: everything put together, warmed up, served, and drained when asked to go."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from latentprint.core.errors import UsageError
from latentprint.core.oip import METHODS
from latentprint.core.samples import blank_samples
from latentprint.core.telemetry.endpoint import MetricsEndpoint
from latentprint.encoder_server.batcher import Batcher
from latentprint.encoder_server.calls import CallGuard
from latentprint.encoder_server.deterministic import FixedForward
from latentprint.encoder_server.forward import Forward
from latentprint.encoder_server.health import SERVICE as HEALTH
from latentprint.encoder_server.health import HealthService
from latentprint.encoder_server.inference import InferenceService, server_version
from latentprint.encoder_server.keys import KeyInterceptor, read_keys
from latentprint.encoder_server.memory import hand_back_free_memory
from latentprint.encoder_server.metadata import model_metadata
from latentprint.encoder_server.metrics import Metrics
from latentprint.encoder_server.obfuscations import obfuscated
from latentprint.encoder_server.reflection import standard_pool
from latentprint.encoder_server.settings import Listening, Settings
from latentprint.encoder_server.sizes import Sizes
from latentprint.encoder_server.tls import Certificate
from latentprint.encoder_server.victims import Victim

_log = logging.getLogger(__name__)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SMALLEST_PING_MS = 10_000


class Server:
    """A victim served over gRPC, between `start` and `drain`.

    Args:
        victim: what is served.
        settings: how.

    Attributes:
        port: of gRPC, in use.
        metrics_port: of the metrics, in use; None without them.
        health_port: of health checks alone, in use; None without one.
        listening: ends when the server has stopped; raises `UsageError` where it had to.
    """

    def __init__(self, victim: Victim, settings: Settings) -> None:
        self.victim = obfuscated(victim, settings.obfuscation)
        self.port = settings.listening.port
        self.metrics_port: int | None = None
        self.health_port: int | None = None
        self._settings = settings
        self._health = HealthService(settings.listening.service, victim.name)
        self._endpoint: MetricsEndpoint | None = None
        self._probed: Any = None

    async def start(self) -> None:
        """Warm up and serve; returns once health says SERVING.

        Raises:
            UsageError: a port in use or a device that is not there.
            DataError: an API key file that is missing or empty, or a certificate without its key.
        """
        self._keys = self._read_keys()
        self._certificate = self._read_certificate()
        forwards = _forwards(self.victim, self._settings)
        await asyncio.to_thread(_warm_up, forwards, self.victim)
        limits = self._settings.limits
        self.metrics = Metrics(lambda: self._batcher.queue.images, limits.max_queued_images)
        self._batcher = Batcher(forwards, self._settings.batching, limits, self.metrics.batch)
        sizes = Sizes(self._batcher, self.victim.encoder.outputs, limits.max_side)
        shapes = await sizes.shapes(self.victim.sample_shape)
        metadata = model_metadata(self.victim, shapes, self._settings)
        self._service = InferenceService(metadata, self._batcher, sizes, limits, self.metrics)
        await self._listen()
        await self._health.set_all(_SERVING)
        self.metrics.serving(self.victim.name, self.victim.weights_digest, server_version())
        self._memory = asyncio.create_task(hand_back_free_memory())
        self.listening = asyncio.create_task(self._keep_listening())

    async def drain(self) -> None:
        """Say NOT_SERVING, let callers notice, refuse new calls, finish those under way, and stop."""
        self._service.ready = False
        self.metrics.draining()
        await self._health.set_all(_NOT_SERVING)
        await asyncio.sleep(self._settings.listening.settle_seconds)
        await self.stop(self._settings.listening.grace_seconds)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, give those under way `grace` seconds, and stop."""
        self._memory.cancel()
        self._guard.close_streams()
        await self._grpc.stop(grace)
        await asyncio.wait((self.listening,))
        await self._batcher.close()
        if self._endpoint is not None:
            self._endpoint.close()
        if self._probed is not None:
            await self._probed.stop(0)

    def _read_keys(self) -> tuple[str, ...]:
        path = self._settings.listening.api_key_file
        return () if path is None else read_keys(path)

    def _read_certificate(self) -> Certificate | None:
        listening = self._settings.listening
        if listening.tls_cert is None or listening.tls_key is None:
            return None
        return Certificate(listening.tls_cert, listening.tls_key)

    async def _listen(self) -> None:
        listening = self._settings.listening
        self._open(listening.port)
        if listening.health_port is not None:
            self._probed = grpc.aio.server()
            self._probed.add_generic_rpc_handlers((self._health.handler(),))
            self.health_port = _bind(self._probed, listening.host, listening.health_port, "--health-port")
            await self._probed.start()
        if listening.metrics_port is not None:
            self._endpoint = MetricsEndpoint(self.metrics.registry, listening.host, listening.metrics_port)
            self.metrics_port = self._endpoint.port
        await self._grpc.start()

    async def _keep_listening(self) -> None:
        """Listen again wherever gRPC has stopped by itself.

        grpcio decodes the name of a method in the loop that accepts calls: one that is not UTF-8 ends that loop, and
        with it all calls under way (seen in 1.85).
        """
        while True:
            try:
                await self._grpc.wait_for_termination()
            except Exception as error:
                _log.error(
                    "gRPC stopped: %s: %s. Calls under way were lost; listening again.", type(error).__name__, error
                )
                await self._reopen()
            else:
                return

    async def _reopen(self) -> None:
        for pause in (0.01, 0.1, 1.0, 10.0):
            try:
                self._open(self.port)
            except UsageError:  # the system has not let go of the port yet
                await asyncio.sleep(pause)
                continue
            await self._grpc.start()
            return
        raise UsageError(f"gRPC stopped, and its port {self.port} cannot be bound again.")

    def _open(self, port: int) -> None:
        """Make the gRPC server and bind it."""
        listening = self._settings.listening
        listed = (listening.service, HEALTH, reflection.SERVICE_NAME)
        pool = standard_pool(listening.service)
        self._guard = CallGuard(self.metrics, _methods(listed, pool))
        self._grpc = grpc.aio.server(
            interceptors=[self._guard, *([KeyInterceptor(self._keys)] if self._keys else [])],
            options=_options(self._settings.limits.max_message_bytes, listening),
        )
        self._grpc.add_generic_rpc_handlers((self._generic_handler(listening.service), self._health.handler()))
        reflection.enable_server_reflection(listed, self._grpc, pool=pool)
        self.port = _bind(self._grpc, listening.host, port, "--port", self._certificate)

    def _generic_handler(self, service: str) -> Any:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                handler,
                request_deserializer=METHODS[name].request.FromString,
                response_serializer=METHODS[name].response.SerializeToString,
            )
            for name, handler in self._service.handlers().items()
        }
        return grpc.method_handlers_generic_handler(service, handlers)


def address(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _methods(services: Sequence[str], pool: Any) -> list[str]:
    """The paths of all methods of these services."""
    found = [pool.FindServiceByName(name) for name in services]
    return [f"/{service.full_name}/{method.name}" for service in found for method in service.methods]


def _forwards(victim: Victim, settings: Settings) -> list[Forward]:
    kind = FixedForward if settings.batching.deterministic else Forward
    compute = settings.compute
    return [kind(victim.encoder, device, compute, settings.batching) for device in compute.devices]


def _warm_up(forwards: Sequence[Forward], victim: Victim) -> None:
    probe = blank_samples(2, victim.sample_shape)
    for forward in forwards:
        forward.prepare_thread()
        forward(probe, victim.encoder.outputs)


def _options(max_message_bytes: int, listening: Listening) -> list[tuple[str, int]]:
    ages = {
        "grpc.max_connection_age_ms": listening.max_connection_age,
        "grpc.max_connection_age_grace_ms": listening.max_connection_age_grace,
    }
    return [
        *((name, round(seconds * 1000)) for name, seconds in ages.items() if seconds is not None),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _SMALLEST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _bind(server: Any, host: str, port: int, flag: str, certificate: Certificate | None = None) -> int:
    place = address(host, port)
    try:
        if certificate is None:
            bound = int(server.add_insecure_port(place))
        else:
            bound = int(server.add_secure_port(place, certificate.credentials()))
    except RuntimeError:
        bound = 0
    if bound == 0:
        raise UsageError(
            f"Port {port} on {host} is in use or not allowed: give another with {flag}, or 0 for a free one."
        )
    return bound
