"""The wire: Open Inference Protocol v2, raw tensors, shared by server and client."""

from leakscope.core.oip.codec import TensorError, from_request, from_response, to_request, to_response
from leakscope.core.oip.service import METHODS, SERVICE, Method

__all__ = [
    "METHODS",
    "SERVICE",
    "Method",
    "TensorError",
    "from_request",
    "from_response",
    "to_request",
    "to_response",
]
