"""The wire: Open Inference Protocol v2, shared by server and client."""

from latentprint.core.oip.codec import from_request, from_response, to_request, to_response
from latentprint.core.oip.contents import TensorError
from latentprint.core.oip.properties import properties_of
from latentprint.core.oip.service import METHODS, SERVICE, RpcMethod

__all__ = [
    "METHODS",
    "SERVICE",
    "RpcMethod",
    "TensorError",
    "from_request",
    "from_response",
    "properties_of",
    "to_request",
    "to_response",
]
