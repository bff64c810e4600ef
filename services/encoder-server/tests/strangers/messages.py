"""Malformed messages of many kinds, drawn from a seed: what a stranger may send a server of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentprint.core.oip import SERVICE, to_request
from latentprint.core.oip import inference_pb2 as pb

INFER = f"/{SERVICE}/ModelInfer"
METADATA = f"/{SERVICE}/ModelMetadata"
CHECK = "/grpc.health.v1.Health/Check"
NAMES = (
    "\x1b[31mred\x1b[0m",
    "two\nlines\r\n",
    "\u202etxt.exe\u2066",
    "n" * 10_000,
    "<script>alert(1)</script>",
    "=1+1",
    "\x00\x07\x7f\x9b",
    "{0} %s %(name)s",
    "../../etc/passwd",
    "",
)
DATATYPES = ("FP32", "FP16", "FP64", "INT8", "BYTES", "BOOL", "uint8", "", "\u202eUINT8", "U" * 10_000)
SIDES = (1, 2, 3, 7, 9, 16, 17, 24, 31, 33, 40, 47, 48, 55, 64, 97, 128, 1023, 1024, 1025, 4096)

Draw = np.random.Generator


@dataclass(frozen=True)
class Call:
    """One call as it goes over the wire.

    Attributes:
        path: of the method.
        content: bytes of the message.
        metadata: of the call.
        timeout: seconds until the deadline.
        cancel_after: seconds until the caller walks away; None for one that waits.
        stream: the message travels in a stream of this many copies; None for a unary call.
    """

    path: str = INFER
    content: bytes = b""
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    timeout: float = 20.0
    cancel_after: float | None = None
    stream: int | None = None


@dataclass(frozen=True)
class Target:
    """The server that is asked.

    Attributes:
        model: the served model.
        max_message_bytes: what the server takes.
    """

    model: str
    max_message_bytes: int

    def right(self, generator: Draw, side: int = 32, count: int = 1) -> pb.ModelInferRequest:
        """A request that nothing is wrong with."""
        images = generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        return to_request(self.model, {"images": images}, ["embedding"])


Maker = Callable[[Target, Draw], Call]


def infer(request: pb.ModelInferRequest) -> Call:
    """The request as a ModelInfer call."""
    return Call(content=request.SerializeToString(deterministic=True))


def one_of(texts: Any, generator: Draw) -> str:
    """One of these texts."""
    return str(texts[generator.integers(len(texts))])


def _random_bytes(_target: Target, generator: Draw) -> Call:
    path = (INFER, INFER, METADATA, CHECK)[generator.integers(4)]
    return Call(path, generator.bytes(int(generator.integers(1, 2000))))


def _truncated(target: Target, generator: Draw) -> Call:
    content = target.right(generator).SerializeToString()
    return Call(content=content[: generator.integers(len(content))])


def _bits_flipped(target: Target, generator: Draw) -> Call:
    content = bytearray(target.right(generator, 8).SerializeToString())
    head = len(content) - 8 * 8 * 3  # names, shapes and lengths; pixels are right whatever they hold
    for _ in range(generator.integers(1, 16)):
        content[generator.integers(head)] ^= 1 << int(generator.integers(8))
    return Call(content=bytes(content))


def _not_utf8(target: Target, generator: Draw) -> Call:
    content = target.right(generator).SerializeToString()
    name = _model_field(target.model)
    assert name in content
    return Call(content=content.replace(name, name[:2] + bytes(generator.integers(128, 256, len(name) - 2, np.uint8))))


def _model_field(model: str) -> bytes:
    """The field `model_name` as bytes."""
    return pb.ModelInferRequest(model_name=model).SerializeToString()


def _wrong_type(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    request.inputs[0].datatype = one_of(DATATYPES, generator)
    return infer(request)


def _byte_count(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    raw = request.raw_input_contents
    match generator.integers(4):
        case 0:
            raw[0] = raw[0][: generator.integers(len(raw[0]))]
        case 1:
            raw[0] += generator.bytes(int(generator.integers(1, 100)))
        case 2:
            raw.extend([b""] * int(generator.integers(1, 1000)))
        case _:
            del raw[:]
    return infer(request)


def _shape(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    sizes = (-(2**63), -1, 0, 1, 3, 32, 2**31, 2**32, 2**61, 2**63 - 1)
    rank = int(generator.choice([0, 1, 2, 3, 4, 4, 4, 5, 9, 64, 1000]))
    request.inputs[0].shape[:] = [sizes[generator.integers(len(sizes))] for _ in range(rank)]
    if generator.integers(2):
        request.raw_input_contents[0] = b""
    return infer(request)


def _duplicated(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    for _ in range(int(generator.choice([1, 2, 500]))):
        request.inputs.add().CopyFrom(request.inputs[0])
        if generator.integers(2):
            request.raw_input_contents.append(request.raw_input_contents[0])
    return infer(request)


def _missing(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    match generator.integers(3):
        case 0:
            del request.inputs[:], request.raw_input_contents[:]
        case 1:
            request.inputs[0].name = one_of(NAMES, generator)
        case _:
            request.ClearField("model_name")
            del request.inputs[:]
    return infer(request)


def _typed(target: Target, generator: Draw) -> Call:
    request = target.right(generator, 4)
    contents = request.inputs[0].contents
    values = [int(value) for value in generator.integers(0, 2**16, int(generator.choice([0, 1, 47, 48, 49, 5000])))]
    match generator.integers(5):
        case 0:
            contents.uint_contents.extend(values)
        case 1:
            contents.int64_contents.extend([-value for value in values])
        case 2:
            contents.fp32_contents.extend([float("nan"), *values])
        case 3:
            contents.bytes_contents.extend([bytes(value % 256) for value in values])
        case _:
            contents.bool_contents.extend([True] * len(values))
            contents.fp64_contents.extend([float("inf")] * len(values))
    if generator.integers(2):
        del request.raw_input_contents[:]
    return infer(request)


def _not_a_number(target: Target, generator: Draw) -> Call:
    name = ("images", "vectors")[generator.integers(2)]
    values = np.full((1, 8, 8, 3), (np.nan, np.inf, -np.inf)[generator.integers(3)], np.float32)
    return infer(to_request(target.model, {name: values}, ["embedding"]))


def _odd_size(target: Target, generator: Draw) -> Call:
    height, width = (int(SIDES[generator.integers(len(SIDES))]) for _ in range(2))
    if height * width > 2**14:
        height, width = (height, 1) if generator.integers(2) else (1, width)
    return infer(to_request(target.model, {"images": np.zeros((1, height, width, 3), np.uint8)}, ["embedding"]))


def _any_size(target: Target, generator: Draw) -> Call:
    height, width = (int(side) for side in generator.integers(1, 97, 2))
    return infer(to_request(target.model, {"images": np.zeros((1, height, width, 3), np.uint8)}, ["embedding"]))


def _large(target: Target, generator: Draw) -> Call:
    height, width = (8 * int(side) for side in generator.integers(4, 25, 2))
    return infer(to_request(target.model, {"images": np.zeros((1, height, width, 3), np.uint8)}, ["embedding"]))


MESSAGES: Mapping[str, Maker] = {
    "random bytes": _random_bytes,
    "truncated": _truncated,
    "bits flipped": _bits_flipped,
    "not UTF-8": _not_utf8,
    "wrong type": _wrong_type,
    "byte count": _byte_count,
    "shape": _shape,
    "duplicated input": _duplicated,
    "missing input": _missing,
    "typed contents": _typed,
    "not a number": _not_a_number,
    "odd size": _odd_size,
    "any size": _any_size,
    "large": _large,
}
