"""Tensors on the wire: raw, little-endian, row-major, one bytes entry a tensor.

latentprint sends raw ones. Typed contents, which other implementations send, are read as well; see `contents`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.oip.contents import BRAIN_FLOAT, DTYPES, TensorError, from_raw, from_typed, is_empty
from latentprint.core.oip.names import DATATYPE

SENT = ("UINT8", "FP32", "FP16", "FP64")
_DATATYPES = {DTYPES[datatype]: datatype for datatype in SENT}
_MAX_DIMENSIONS = 8
_MAX_ELEMENTS = 2**60


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
        inputs: arrays by tensor name; uint8, float32, float16 or float64.
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
    """The input tensors by name; those that came raw as read-only views of the message's bytes.

    Raises:
        TensorError: an unknown datatype, a wrong shape, a wrong number of raw entries, of bytes or of elements.
    """
    return _arrays(request.inputs, request.raw_input_contents, "input", None)


def from_response(response: pb.ModelInferResponse, wanted: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The output tensors by name; what is not `wanted`, where that is given, is left out undecoded.

    Raises like `from_request`.
    """
    return _arrays(response.outputs, response.raw_output_contents, "output", wanted)


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name of an array's dtype. Raises `TensorError` for one that latentprint does not send."""
    datatype = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise TensorError(f"Tensors of {array.dtype} do not travel: use one of {', '.join(SENT)}.")
    return datatype


def _raw(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _arrays(
    tensors: Sequence[Any], raw: Sequence[bytes], kind: str, wanted: Collection[str] | None
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for tensor, content in zip(tensors, _raw_entries(tensors, raw, kind), strict=True):
        if wanted is not None and tensor.name not in wanted:
            continue
        if tensor.name in arrays:
            raise TensorError(f"The {kind} tensor {tensor.name!r} came twice.")
        arrays[tensor.name] = _array(tensor, content, kind)
    return arrays


def _raw_entries(tensors: Sequence[Any], raw: Sequence[bytes], kind: str) -> Sequence[bytes | None]:
    """The raw entry of each tensor; None for one in typed contents.

    All come raw, or all typed; some servers (KServe) write each as it is and leave no entry for those that are typed.
    """
    if len(raw) == len(tensors):
        return raw
    typed = [not raw or tensor.HasField("contents") for tensor in tensors]
    if typed.count(False) != len(raw):
        raise TensorError(f"{len(tensors)} {kind} tensors came with {len(raw)} raw entries: send one entry a tensor.")
    entries = iter(raw)
    return [None if is_typed else next(entries) for is_typed in typed]


def _array(tensor: Any, content: bytes | None, kind: str) -> NDArray[Any]:
    """The tensor from its raw bytes, or from its typed contents where it has none."""
    described = f"The {kind} tensor {tensor.name!r}"
    if tensor.datatype not in DTYPES and tensor.datatype != BRAIN_FLOAT:
        known = ", ".join((*DTYPES, BRAIN_FLOAT))
        raise TensorError(f"{described} has datatype {tensor.datatype!r}: known are {known}.")
    shape = tuple(tensor.shape)
    if not _is_valid(shape):
        raise TensorError(f"{described} has no valid shape: {list(shape)[:8]}.")
    described = f"{described} of {tensor.datatype} {list(shape)}"
    if content is None:
        flat = from_typed(tensor.contents, tensor.datatype, math.prod(shape), described)
    elif is_empty(tensor.contents):
        flat = from_raw(content, tensor.datatype, math.prod(shape), described)
    else:
        raise TensorError(f"{described} came both raw and in typed contents: send one of them.")
    return flat.reshape(shape)


def _is_valid(shape: Sequence[int]) -> bool:
    """Whether numpy can hold the shape, however many of its elements there are."""
    extent = math.prod(max(size, 1) for size in shape)
    return len(shape) <= _MAX_DIMENSIONS and min(shape, default=0) >= 0 and extent <= _MAX_ELEMENTS
