"""The standard health service, which keeps nothing that a stranger names."""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from latentprint.encoder_server.refusals import not_found

SERVICE = str(health.SERVICE_NAME)
_STRANGER = "\0"  # no service can have this name


class HealthService:
    """Says whether the server serves.

    Args:
        services: names that may be asked about, beside the server as a whole.
    """

    def __init__(self, *services: str) -> None:
        self._services = ("", *services)
        self._servicer = health.aio.HealthServicer()

    def handler(self) -> Any:
        """The service as gRPC takes it."""
        request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        wire = {"request_deserializer": request.FromString, "response_serializer": response.SerializeToString}
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self.check, **wire),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch, **wire),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def check(self, request: Any, context: Any) -> Any:
        """The status now. Raises `Refusal` (NOT_FOUND) for a service that is not here."""
        if request.service not in self._services:
            raise not_found(f"No service {request.service!r} here.")
        return await self._servicer.Check(request, context)

    async def watch(self, request: Any, context: Any) -> None:
        """The status now and whenever it changes; of a service that is not here SERVICE_UNKNOWN, as the standard says.

        The servicer keeps the name of each watched service: all that are not here share one.
        """
        known = request.service in self._services
        await self._servicer.Watch(request if known else health_pb2.HealthCheckRequest(service=_STRANGER), context)

    async def set_all(self, status: Any) -> None:
        """Set the status of all services."""
        for name in self._services:
            await self._servicer.set(name, status)
