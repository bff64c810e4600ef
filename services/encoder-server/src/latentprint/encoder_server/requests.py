"""A ModelInfer request, read and checked before anything is computed."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.oip import TensorError, from_request
from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.oip.names import DATATYPE, IMAGES, VECTORS
from latentprint.core.samples import Images, Samples, Vectors
from latentprint.encoder_server.refusals import invalid, oversize
from latentprint.encoder_server.settings import Limits
from latentprint.encoder_server.sizes import Shapes

_Floats = np.dtype[Any]
_ANSWERS: dict[str, _Floats] = {"FP32": np.dtype("<f4"), "FP16": np.dtype("<f2")}


@dataclass(frozen=True)
class InferenceQuery:
    """What is asked.

    Attributes:
        samples: uint8 images [B, H, W, 3] or float32 vectors [B, F], B at least 1.
        outputs: the outputs asked for and the dtype of each answer, in the request's order.
    """

    samples: Samples
    outputs: dict[str, _Floats]


def read_question(
    request: pb.ModelInferRequest, public: tuple[str, ...], limits: Limits, features: int | None = None
) -> InferenceQuery:
    """Read a request's samples and outputs.

    Args:
        request: as it came.
        public: outputs that may be asked for.
        limits: of a request.
        features: length of the vectors that the model takes; None for a model of images.

    Raises:
        Refusal: INVALID_ARGUMENT for wrong tensors, outputs or parameters; RESOURCE_EXHAUSTED for too many images.
    """
    samples = _images(request) if features is None else _vectors(request, features)
    if len(samples) > limits.max_images_per_request:
        raise oversize(
            "TOO_MANY_IMAGES",
            f"{len(samples)} samples in one request; this server takes {limits.max_images_per_request}.",
            limits.max_images_per_request,
        )
    return InferenceQuery(samples, _outputs(request, public))


def check_answer_size(question: InferenceQuery, shapes: Shapes, limits: Limits) -> None:
    """Refuse, before the forward, a question whose answer would not fit a message.

    Raises:
        Refusal: RESOURCE_EXHAUSTED.
    """
    each = sum(dtype.itemsize * prod(shapes[name]) for name, dtype in question.outputs.items())
    needed = each * len(question.samples)
    if needed > limits.max_message_bytes:
        raise oversize(
            "ANSWER_TOO_LARGE",
            f"The answer would have {needed} bytes; this server sends {limits.max_message_bytes}. "
            "Send fewer samples, ask for fewer outputs, or for FP16.",
            limits.max_message_bytes,
        )


def _only_input(request: pb.ModelInferRequest, name: str) -> NDArray[Any]:
    try:
        arrays = from_request(request)
    except TensorError as error:
        raise invalid(str(error)) from None
    if list(arrays) != [name]:
        raise invalid(f"Send one input tensor, {name!r}; this request has {', '.join(map(repr, arrays)) or 'none'}.")
    return arrays[name]


def _images(request: pb.ModelInferRequest) -> Images:
    images = _only_input(request, IMAGES)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise invalid(
            f"{IMAGES!r} must be UINT8 [B, H, W, 3], RGB; this is {request.inputs[0].datatype} {list(images.shape)}."
        )
    if len(images) == 0:
        raise invalid(f"{IMAGES!r} holds no image.")
    return images


def _vectors(request: pb.ModelInferRequest, features: int) -> Vectors:
    vectors = _only_input(request, VECTORS)
    if vectors.dtype.kind != "f" or vectors.ndim != 2 or vectors.shape[1] != features:
        raise invalid(
            f"{VECTORS!r} must be FP32 [B, {features}]; this is {request.inputs[0].datatype} {list(vectors.shape)}."
        )
    if len(vectors) == 0:
        raise invalid(f"{VECTORS!r} holds no vector.")
    with np.errstate(over="ignore"):  # what a float32 cannot hold is refused as not finite
        vectors = vectors.astype(np.float32, copy=False)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise invalid(f"{VECTORS!r} holds a value that is not finite, in row {int(np.argmin(finite))}.")
    return vectors


def _outputs(request: pb.ModelInferRequest, public: tuple[str, ...]) -> dict[str, _Floats]:
    if not request.outputs:
        return dict.fromkeys(public, _ANSWERS["FP32"])
    outputs: dict[str, _Floats] = {}
    for requested in request.outputs:
        if requested.name not in public:
            raise invalid(f"Unknown output {requested.name!r}. Known: {', '.join(public)}.")
        if requested.name in outputs:
            raise invalid(f"The output {requested.name!r} is asked for twice.")
        outputs[requested.name] = _answer_type(requested)
    return outputs


def _answer_type(requested: pb.ModelInferRequest.InferRequestedOutputTensor) -> _Floats:
    if DATATYPE not in requested.parameters:
        return _ANSWERS["FP32"]
    value = requested.parameters[DATATYPE].string_param
    if value not in _ANSWERS:
        raise invalid(f"The parameter {DATATYPE!r} of an output is one of {', '.join(_ANSWERS)}, not {value!r}.")
    return _ANSWERS[value]
