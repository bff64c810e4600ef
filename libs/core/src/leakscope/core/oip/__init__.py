"""The wire: Open Inference Protocol v2, shared by server and client."""

from leakscope.core.oip.codec import from_request, from_response, to_request, to_response
from leakscope.core.oip.contents import TensorError
from leakscope.core.oip.properties import properties_of
from leakscope.core.oip.service import METHODS, SERVICE, Method

__all__ = [
    "METHODS",
    "SERVICE",
    "Method",
    "TensorError",
    "from_request",
    "from_response",
    "properties_of",
    "to_request",
    "to_response",
]
