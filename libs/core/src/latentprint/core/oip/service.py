"""The service's name and its calls, taken from the generated descriptor: server and client are made from these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message_factory import GetMessageClass

from latentprint.core.oip import inference_pb2

SERVICE = "inference.GRPCInferenceService"
"""The standard's full service name; some servers use another, so every path takes it as an argument."""

_DESCRIPTOR = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]


@dataclass(frozen=True)
class RpcMethod:
    """One unary call: its name and its message classes."""

    name: str
    request: type[Any]
    response: type[Any]

    def path(self, service: str = SERVICE) -> str:
        """The HTTP/2 path of the call, `/SERVICE/NAME`."""
        return f"/{service}/{self.name}"

    def call(self, channel: Any, service: str = SERVICE) -> Any:
        """The call as a multi-callable of `channel` (grpc or grpc.aio)."""
        return channel.unary_unary(
            self.path(service),
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )


METHODS: Mapping[str, RpcMethod] = {
    method.name: RpcMethod(method.name, GetMessageClass(method.input_type), GetMessageClass(method.output_type))
    for method in _DESCRIPTOR.methods
}
