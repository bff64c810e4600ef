"""Odd calls of many kinds: names, metadata, sizes, deadlines and streams that no client of ours would send."""

from collections.abc import Mapping
from dataclasses import replace

from messages import CHECK, METADATA, NAMES, Call, Draw, Maker, Target, infer, one_of

from latentprint.core.oip import SERVICE
from latentprint.core.oip import inference_pb2 as pb

REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
WATCH = "/grpc.health.v1.Health/Watch"


def _many(target: Target, generator: Draw) -> Call:
    request = target.right(generator, 32, int(generator.integers(1, 65)))
    request.outputs.add(name="feature_map")
    request.id = generator.bytes(20).hex()
    return infer(request)


def _parameters(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    requested = request.outputs[0]
    match generator.integers(5):
        case 0:
            requested.parameters["datatype"].string_param = one_of(NAMES, generator)
        case 1:
            requested.parameters["datatype"].int64_param = -1
        case 2:
            for index in range(500):
                request.parameters[f"{index}{one_of(NAMES, generator)[:50]}"].double_param = float("nan")
        case 3:
            request.inputs[0].parameters["binary_data_size"].int64_param = 2**62
        case _:
            request.inputs[0].parameters["shared_memory_region"].string_param = one_of(NAMES, generator)
    return infer(request)


def _outputs(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    for _ in range(int(generator.choice([1, 2, 1000]))):
        request.outputs.add(name=one_of((*NAMES, "embedding"), generator))
    return infer(request)


def _unknown_method(target: Target, generator: Draw) -> Call:
    paths = (f"/{SERVICE}/{generator.bytes(8).hex()}", f"/{generator.bytes(8).hex()}/ModelInfer", "/", "/a/b/c", "//")
    content = target.right(generator).SerializeToString()
    return Call(paths[generator.integers(len(paths))], content, stream=(None, 2)[generator.integers(2)])


def _model_name(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    request.model_name = one_of((*NAMES, generator.bytes(20).hex()), generator)
    request.model_version = one_of(NAMES, generator)
    if generator.integers(2):
        return infer(request)
    asked = pb.ModelMetadataRequest(name=request.model_name, version=request.model_version)
    return Call(METADATA, asked.SerializeToString())


def _call_metadata(target: Target, generator: Draw) -> Call:
    unique = generator.bytes(8).hex()
    choices: tuple[tuple[tuple[str, str | bytes], ...], ...] = (
        (("authorization", f"Bearer {unique}"),),
        (("latentprint-client", unique),),
        (("junk-bin", generator.bytes(200)),),
        tuple((f"{unique}-{index}", "x" * 20) for index in range(50)),
        (("latentprint-client", "c" * 30_000),),
        (("grpc-status-details-bin", generator.bytes(20)), ("latentprint-client", " ~")),
    )
    return replace(infer(target.right(generator)), metadata=choices[generator.integers(len(choices))])


def _request_id(target: Target, generator: Draw) -> Call:
    request = target.right(generator)
    request.id = one_of((*NAMES, generator.bytes(20).hex()), generator)
    return infer(request)


def _oversize(target: Target, generator: Draw) -> Call:
    if generator.integers(10):
        return infer(target.right(generator, 1, 2000))  # too many images
    return Call(content=bytes(target.max_message_bytes + 1))


def _deadline(target: Target, generator: Draw) -> Call:
    return replace(infer(target.right(generator)), timeout=float(generator.choice([0.0, 1e-6, 1e-3])))


def _cancelled(target: Target, generator: Draw) -> Call:
    request = target.right(generator, 32, 4)
    if generator.integers(2):
        request.id = generator.bytes(20).hex()
    return replace(infer(request), cancel_after=float(generator.choice([0.0, 1e-3, 5e-3])))


def _streamed(target: Target, generator: Draw) -> Call:
    """As many messages as a unary method does not take, reflection asked nonsense, health asked for strangers."""
    match generator.integers(4):
        case 0:
            return replace(infer(target.right(generator)), stream=2)
        case 1:
            return Call(REFLECT, generator.bytes(int(generator.integers(1, 50))), stream=1)
        case 2:
            return Call(CHECK, b"\x0a\x05other")
        case _:
            return Call(WATCH, generator.bytes(9), cancel_after=0.01)


CALLS: Mapping[str, Maker] = {
    "many": _many,
    "parameters": _parameters,
    "outputs": _outputs,
    "unknown method": _unknown_method,
    "model name": _model_name,
    "call metadata": _call_metadata,
    "request id": _request_id,
    "oversize": _oversize,
    "deadline": _deadline,
    "cancelled": _cancelled,
    "streamed": _streamed,
}
