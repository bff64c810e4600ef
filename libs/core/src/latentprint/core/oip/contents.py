"""A tensor's elements as the protocol carries them, raw or typed: a flat array of what the datatype says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import EndpointError
from latentprint.core.oip import inference_pb2 as pb

DTYPES: Mapping[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "FP64": np.dtype("<f8"),
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
}
BRAIN_FLOAT = "BF16"  # the upper half of a float32, which numpy has no dtype for: read as float32
_FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class TensorError(EndpointError):
    """A message whose tensors are not what the protocol, or latentprint's use of it, allows."""


def is_empty(contents: pb.InferTensorContents) -> bool:
    """Whether typed contents hold nothing; some servers set them, empty, beside raw bytes."""
    return not contents.ListFields()


def from_raw(content: bytes, datatype: str, count: int, described: str) -> NDArray[Any]:
    """`count` elements from raw little-endian bytes, as a read-only view of them (BF16: a float32 copy).

    Raises:
        TensorError: another number of bytes; the sentence begins with `described`.
    """
    dtype = np.dtype("<u2") if datatype == BRAIN_FLOAT else DTYPES[datatype]
    expected = count * dtype.itemsize
    if expected != len(content):
        raise TensorError(f"{described} has {len(content)} bytes; its shape means {expected} bytes.")
    flat = np.frombuffer(content, dtype=dtype)
    return (flat.astype("<u4") << 16).view("<f4") if datatype == BRAIN_FLOAT else flat


def from_typed(contents: pb.InferTensorContents, datatype: str, count: int, described: str) -> NDArray[Any]:
    """`count` elements from the one field of typed contents that the protocol has for `datatype`.

    Raises:
        TensorError: another field, another number of elements, or a value that the datatype cannot hold.
    """
    if datatype not in _FIELDS:
        raise TensorError(f"{described} has no raw contents, and the protocol has no typed ones for its datatype.")
    wanted = _FIELDS[datatype]
    found = [field.name for field, _ in contents.ListFields()]
    if found not in ([], [wanted]):
        raise TensorError(f"{described} has its elements in {' and '.join(found)}; its datatype's are {wanted}.")
    elements = getattr(contents, wanted)
    if len(elements) != count:
        raise TensorError(f"{described} has {len(elements)} elements and no raw contents; its shape means {count}.")
    return _narrowed(np.array(elements), DTYPES[datatype], described)


def _narrowed(values: NDArray[Any], dtype: np.dtype[Any], described: str) -> NDArray[Any]:
    """The elements in their own dtype: the protocol's fields for small integers are wider."""
    if dtype.kind in "iu" and len(values):
        limits = np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise TensorError(f"{described} has a value beyond {limits.min} to {limits.max}.")
    return values.astype(dtype, copy=False)
