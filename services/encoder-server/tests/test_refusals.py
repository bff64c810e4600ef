"""Each wrong or untimely request ends with its own status, and the details say whether to send it again."""

import asyncio

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from latentprint.core.oip import METHODS, to_request
from latentprint.core.oip import inference_pb2 as pb

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def detail(error, kind):
    """The error's detail of this kind, or None."""
    content = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if content is None:
        return None
    status = Status.FromString(content)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    found = kind()
    return found if any(each.Unpack(found) for each in status.details) else None


async def test_overload_says_when_to_come_back(serve, braked, images, refusal):
    victim, brake = braked
    running = await serve(victim, limits={"max_queued_images": 8, "max_images_per_request": 8})
    brake.hold()
    first = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    waiting = asyncio.create_task(running.infer(images(6)))
    while running.count("latentprint_queued_images") != 6:
        await asyncio.sleep(0.01)
    error = await refusal(running.infer(images(3)))
    assert error.code() is EXHAUSTED
    assert 0 < detail(error, RetryInfo).retry_delay.ToTimedelta().total_seconds() < 5
    assert detail(error, ErrorInfo) is None
    brake.release()
    await asyncio.gather(first, waiting)
    assert len((await running.infer(images(3)))["embedding"]) == 3


async def test_too_many_images_is_never_to_be_sent_again(serve, images, refusal):
    running = await serve(limits={"max_images_per_request": 4})
    error = await refusal(running.infer(images(5)))
    assert error.code() is EXHAUSTED
    info = detail(error, ErrorInfo)
    assert (info.reason, info.domain, info.metadata["limit"]) == ("TOO_MANY_IMAGES", "latentprint", "4")
    assert detail(error, RetryInfo) is None


async def test_a_message_above_the_limit_has_no_retry_info(serve, images, refusal):
    running = await serve(limits={"max_message_bytes": 50_000})
    error = await refusal(running.infer(images(20)))
    assert error.code() is EXHAUSTED
    assert detail(error, RetryInfo) is None
    assert len((await running.infer(images(10)))["embedding"]) == 10


async def test_an_answer_above_the_limit_is_refused_before_it_is_computed(serve, images, refusal):
    running = await serve(limits={"max_message_bytes": 12_000})
    error = await refusal(running.infer(images(15, 16), ["feature_map", "embedding"]))
    assert error.code() is EXHAUSTED
    assert detail(error, ErrorInfo).reason == "ANSWER_TOO_LARGE"
    assert running.count("latentprint_answered_images_total") == 0
    assert len((await running.infer(images(15, 16), ["embedding"]))["embedding"]) == 15


def altered(**changes):
    request = to_request("victim", {"images": np.zeros((2, 32, 32, 3), np.uint8)}, ["embedding"])
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def typed(values, shape=(1, 8, 8, 3)):
    request = pb.ModelInferRequest(model_name="victim")
    request.inputs.add(name="images", datatype="UINT8", shape=shape).contents.uint_contents.extend(values)
    return request


def short_of_bytes():
    request = altered()
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    return request


def of(array, name="images", outputs=("embedding",), datatype="FP32"):
    return to_request("victim", {name: array}, outputs, datatype=datatype)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (altered(model_name="other"), grpc.StatusCode.NOT_FOUND, "No model 'other' here"),
        (altered(model_version="7"), grpc.StatusCode.NOT_FOUND, "version '7'"),
        (typed([1, 2, 3]), INVALID, "has 3 elements and no raw contents; its shape means 192"),
        (typed([256] * 192), INVALID, "a value beyond 0 to 255"),
        (typed([1] * 192, (1, 3, 8, 8)), INVALID, "must be UINT8 [B, H, W, 3]"),
        (typed([1, 2, 3], (2**40, 1, 1, 3)), INVALID, "has 3 elements"),
        (short_of_bytes(), INVALID, "6143 bytes"),
        (of(np.zeros((1, 8, 8, 3), np.float32)), INVALID, "must be UINT8"),
        (of(np.zeros((8, 8, 3), np.uint8)), INVALID, "must be UINT8 [B, H, W, 3]"),
        (of(np.zeros((1, 3, 8, 8), np.uint8)), INVALID, "must be UINT8 [B, H, W, 3]"),
        (of(np.zeros((0, 8, 8, 3), np.uint8)), INVALID, "no image"),
        (of(np.zeros((1, 0, 8, 3), np.uint8)), INVALID, "sides go from 1"),
        (of(np.zeros((1, 8, 2000, 3), np.uint8)), INVALID, "sides go from 1 to 1024"),
        (of(np.zeros((1, 8, 8, 3), np.uint8), name="input"), INVALID, "'images'"),
        (
            of(np.zeros((1, 8, 8, 3), np.uint8), outputs=["logits"]),
            INVALID,
            "Unknown output 'logits'. Known: embedding",
        ),
        (of(np.zeros((1, 8, 8, 3), np.uint8), outputs=["embedding"] * 2), INVALID, "twice"),
        (of(np.zeros((1, 8, 8, 3), np.uint8), datatype="FP64"), INVALID, "FP32, FP16"),
        (of(np.zeros((1, 9, 9, 3), np.uint8)), INVALID, "Images of 9x9 are not taken by this model"),
    ],
)
async def test_a_wrong_request_is_told_why(serve, refusal, request_, code, words):
    running = await serve()
    error = await refusal(running.call("ModelInfer", request_))
    assert error.code() is code
    assert words in error.details()
    assert running.count("latentprint_requests_total", method="ModelInfer", code=code.name) == 1


async def test_too_many_typed_images_are_refused_as_raw_ones_are(serve, refusal):
    running = await serve(limits={"max_images_per_request": 4})
    error = await refusal(running.call("ModelInfer", typed([1] * 5 * 192, (5, 8, 8, 3))))
    assert error.code() is EXHAUSTED
    assert detail(error, ErrorInfo).reason == "TOO_MANY_IMAGES"


async def test_metadata_of_another_model_is_not_found(serve, refusal):
    running = await serve()
    error = await refusal(running.call("ModelMetadata", pb.ModelMetadataRequest(name="other")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert not (await running.call("ModelReady", pb.ModelReadyRequest(name="other"))).ready


async def test_an_unknown_call_is_unimplemented(serve, refusal):
    running = await serve()
    method = METHODS["ServerLive"]
    error = await refusal(method.call(running.channel, "other.Service")(method.request(), timeout=5))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
