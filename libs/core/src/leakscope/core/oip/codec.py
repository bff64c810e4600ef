"""Tensors on the wire: raw, little-endian, row-major, one bytes entry a tensor.

Typed contents are refused: they cost hundreds of times what raw ones do, and a client that sends them by mistake
should learn it from the first answer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakscope.core.errors import EndpointError
from leakscope.core.oip import inference_pb2 as pb
from leakscope.core.oip.names import DATATYPE

DTYPES: Mapping[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
}
_DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
_MAX_DIMENSIONS = 8
_MAX_ELEMENTS = 2**60


class TensorError(EndpointError):
    """A message whose tensors are not what the protocol, or leakscope's use of it, allows."""


def to_request(
    model: str,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Sequence[str],
    *,
    request_id: str = "",
    version: str = "",
    datatype: str = "FP32",
) -> pb.ModelInferRequest:
    """A ModelInfer request.

    Args:
        model: the served model.
        inputs: arrays by tensor name; uint8, float32 or float16.
        outputs: names of the tensors asked for.
        request_id: the idempotency key; empty for none.
        version: empty for the server's choice.
        datatype: of the answers, "FP32" or "FP16".
    """
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        request.raw_input_contents.append(_raw(array))
    for name in outputs:
        requested = request.outputs.add(name=name)
        if datatype != "FP32":
            requested.parameters[DATATYPE].string_param = datatype
    return request


def to_response(
    model: str, outputs: Mapping[str, NDArray[Any]], *, request_id: str = "", version: str = ""
) -> pb.ModelInferResponse:
    """A ModelInfer response with `outputs` (float32, float16 or uint8) as raw tensors, in their order."""
    response = pb.ModelInferResponse(model_name=model, model_version=version, id=request_id)
    for name, array in outputs.items():
        response.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        response.raw_output_contents.append(_raw(array))
    return response


def from_request(request: pb.ModelInferRequest) -> dict[str, NDArray[Any]]:
    """The input tensors by name, as read-only views of the message's bytes.

    Raises:
        TensorError: typed contents, an unknown datatype, a wrong shape, a wrong number of raw entries or of bytes.
    """
    return _arrays(request.inputs, request.raw_input_contents, "input")


def from_response(response: pb.ModelInferResponse) -> dict[str, NDArray[Any]]:
    """The output tensors by name, as read-only views of the message's bytes. Raises like `from_request`."""
    return _arrays(response.outputs, response.raw_output_contents, "output")


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name of an array's dtype. Raises `TensorError` for one that leakscope does not send."""
    datatype = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise TensorError(f"Tensors of {array.dtype} do not travel: use one of {', '.join(DTYPES)}.")
    return datatype


def _raw(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _arrays(tensors: Sequence[Any], raw: Sequence[bytes], kind: str) -> dict[str, NDArray[Any]]:
    if any(tensor.HasField("contents") for tensor in tensors):
        raise TensorError(f"Typed {kind} contents are not taken: send raw_{kind}_contents, one entry a tensor.")
    if len(raw) != len(tensors):
        raise TensorError(f"{len(tensors)} {kind} tensors came with {len(raw)} raw entries: send one entry a tensor.")
    arrays: dict[str, NDArray[Any]] = {}
    for tensor, content in zip(tensors, raw, strict=True):
        if tensor.name in arrays:
            raise TensorError(f"The {kind} tensor {tensor.name!r} came twice.")
        arrays[tensor.name] = _array(tensor, content, kind)
    return arrays


def _array(tensor: Any, content: bytes, kind: str) -> NDArray[Any]:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        known = ", ".join(DTYPES)
        raise TensorError(f"The {kind} tensor {tensor.name!r} has datatype {tensor.datatype!r}: known are {known}.")
    shape = tuple(tensor.shape)
    if not _is_valid(shape):
        raise TensorError(f"The {kind} tensor {tensor.name!r} has no valid shape: {list(shape)[:8]}.")
    expected = math.prod(shape) * dtype.itemsize
    if expected != len(content):
        raise TensorError(
            f"The {kind} tensor {tensor.name!r} of {tensor.datatype} {list(shape)} has {len(content)} bytes; "
            f"its shape means {expected} bytes."
        )
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _is_valid(shape: Sequence[int]) -> bool:
    """Whether numpy can hold the shape, however many of its elements there are."""
    extent = math.prod(max(size, 1) for size in shape)
    return len(shape) <= _MAX_DIMENSIONS and min(shape, default=0) >= 0 and extent <= _MAX_ELEMENTS
