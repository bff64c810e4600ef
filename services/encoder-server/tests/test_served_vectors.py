"""A model of vectors behind the same server: its own input tensor, checked, batched and kept like images."""

import asyncio

import grpc
import numpy as np
import pytest
import timm
import torch

from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError
from latentprint.core.oip import from_response, to_request
from latentprint.core.oip import inference_pb2 as pb
from latentprint.encoder_server.timm_models import from_timm
from latentprint.encoder_server.victims import Victim, from_bundle

FEATURES = 24
OPTIONS = {"in_features": FEATURES, "hidden": [32, 16], "num_classes": 5}
OUTPUTS = ("embedding", "posterior")
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def perceptron() -> Victim:
    architectures.register()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(timm.create_model("mlp", **OPTIONS), OUTPUTS)
    return Victim("victim", encoder, "mlp", None, fixed_size=True, weights_digest="0" * 64, model_args=OPTIONS)


def vectors(count, seed=0, features=FEATURES):
    return np.random.default_rng(seed).standard_normal((count, features), dtype=np.float32)


async def infer(running, array, outputs=OUTPUTS, request_id="", name="vectors", **options):
    request = to_request("victim", {name: array}, outputs, request_id=request_id, **options)
    return from_response(await running.call("ModelInfer", request))


async def test_answers_are_the_encoders_own(serve, perceptron):
    running = await serve(perceptron, batching={"max_batch": 4})
    expected = perceptron.encoder.answer(vectors(11), OUTPUTS)
    answer = await infer(running, vectors(11))
    for name in OUTPUTS:
        np.testing.assert_allclose(answer[name], expected[name], atol=1e-5)
    assert np.ptp(expected["posterior"]) > 0.01


@pytest.mark.parametrize(("deterministic", "tolerance"), [(False, 1e-5), (True, 0)])
async def test_neighbours_change_nothing(serve, perceptron, deterministic, tolerance):
    running = await serve(perceptron, batching={"deterministic": deterministic})
    alone = await infer(running, vectors(3))
    company = [infer(running, vectors(count, seed=count)) for count in range(1, 12)]
    together = (await asyncio.gather(infer(running, vectors(3)), *company))[0]
    for name in OUTPUTS:
        np.testing.assert_allclose(together[name], alone[name], rtol=0, atol=tolerance)


async def test_metadata_publishes_the_length_in_place_of_sides(serve, perceptron):
    running = await serve(perceptron, limits={"max_message_bytes": 70_000}, batching={"max_batch": 512})
    metadata = await running.call("ModelMetadata", pb.ModelMetadataRequest(name="victim"))
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [("vectors", "FP32", [-1, FEATURES])]
    assert {t.name: list(t.shape) for t in metadata.outputs} == {"embedding": [-1, 16], "posterior": [-1, 5]}
    assert metadata.latentprint_properties["features"] == str(FEATURES)
    assert not {"image_size", "min_side", "max_side"} & set(metadata.latentprint_properties)
    assert int(metadata.latentprint_properties["preferred_images_per_request"]) == (70_000 - 64 * 1024) // (
        4 * FEATURES
    )


async def test_a_repeated_request_is_replayed(serve, perceptron):
    running = await serve(perceptron)
    first = await infer(running, vectors(3), request_id="a")
    again = await infer(running, vectors(3), request_id="a")
    assert (first["posterior"] == again["posterior"]).all()
    assert running.count("latentprint_answered_images_total", size=str(FEATURES)) == 3
    assert running.count("latentprint_replayed_images_total", size=str(FEATURES)) == 3


def spoilt(value):
    array = vectors(3)
    array[1, 4] = value
    return array


@pytest.mark.parametrize(
    ("array", "name", "words"),
    [
        (vectors(2, features=23), "vectors", "must be FP32 [B, 24]; this is FP32 [2, 23]"),
        (vectors(2)[0], "vectors", "must be FP32 [B, 24]; this is FP32 [24]"),
        (np.zeros((2, FEATURES), np.uint8), "vectors", "must be FP32 [B, 24]; this is UINT8"),
        (vectors(0), "vectors", "no vector"),
        (spoilt(np.nan), "vectors", "not finite, in row 1"),
        (spoilt(np.inf), "vectors", "not finite, in row 1"),
        (vectors(2).astype(np.float64) * 1e300, "vectors", "not finite, in row 0"),
        (np.zeros((2, 8, 8, 3), np.uint8), "images", "Send one input tensor, 'vectors'; this request has 'images'"),
    ],
)
async def test_a_wrong_request_is_told_why(serve, perceptron, refusal, array, name, words):
    running = await serve(perceptron)
    error = await refusal(infer(running, array, name=name))
    assert error.code() is INVALID
    assert words in error.details()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
async def test_other_floats_are_taken_as_the_float32_nearest_to_them(serve, perceptron, dtype):
    running, array = await serve(perceptron), vectors(3).astype(dtype)
    found = await infer(running, array)
    expected = await infer(running, array.astype(np.float32))
    np.testing.assert_array_equal(found["posterior"], expected["posterior"])


async def test_vectors_for_a_model_of_images_are_refused(serve, refusal):
    error = await refusal(infer(await serve(), vectors(2)))
    assert error.code() is INVALID
    assert "Send one input tensor, 'images'; this request has 'vectors'" in error.details()


async def test_limits_hold_in_samples_and_in_bytes(serve, perceptron, refusal):
    running = await serve(perceptron, limits={"max_images_per_request": 40, "max_message_bytes": 3000})
    assert (await refusal(infer(running, vectors(41)[:, :1], name="vectors"))).code() is INVALID
    assert (await refusal(infer(running, vectors(40)))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # 3,840 bytes
    assert len((await infer(running, vectors(25)))["posterior"]) == 25


async def test_too_many_vectors_are_never_to_be_sent_again(serve, perceptron, refusal):
    running = await serve(perceptron, limits={"max_images_per_request": 4})
    error = await refusal(infer(running, vectors(5)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "5 samples in one request; this server takes 4" in error.details()


def test_a_bundle_of_vectors_is_served_without_a_feature_map(tmp_path, perceptron):
    card = BundleCard("untrained", OUTPUTS, None, mean=(0.25,), std=(2.0,), features=FEATURES)
    save_bundle(perceptron.encoder.model, tmp_path / "victim", card, OPTIONS)
    victim = from_bundle(tmp_path / "victim", None, [])
    assert (victim.sample_shape, victim.image_size, victim.fixed_size) == ((FEATURES,), None, True)
    expected = perceptron.encoder.answer((vectors(3) - 0.25) / 2, OUTPUTS)
    for name, values in victim.encoder.answer(vectors(3), OUTPUTS).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    with pytest.raises(UsageError, match="Unknown output 'feature_map'"):
        from_bundle(tmp_path / "victim", None, ["feature_map"])


def test_a_perceptron_is_made_from_its_name():
    victim = from_timm("mlp", None, [], weights="random", seed=1, options=OPTIONS)
    assert (victim.encoder.outputs, victim.sample_shape) == (OUTPUTS, (FEATURES,))
