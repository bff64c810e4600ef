import numpy as np
import pytest

from latentprint.core.oip import inference_pb2 as pb


async def test_answers_are_the_encoders_own(serve, victim, images):
    running = await serve(victim)
    pixels = images(5)
    expected = victim.encoder.answer(pixels, victim.encoder.outputs)
    answer = await running.infer(pixels, [])
    assert list(answer) == ["embedding", "feature_map", "posterior"]
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, atol=1e-6)
        assert answer[name].dtype == np.float32


async def test_outputs_come_in_the_order_asked_for(serve, images):
    running = await serve()
    assert list(await running.infer(images(1), ["posterior", "embedding"])) == ["posterior", "embedding"]


async def test_half_precision_answers_when_asked(serve, images):
    running = await serve()
    whole = (await running.infer(images(3)))["embedding"]
    half = (await running.infer(images(3), datatype="FP16"))["embedding"]
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, whole, rtol=1e-3, atol=1e-3)


async def test_a_request_larger_than_a_batch_is_answered_whole(serve, victim, images):
    running = await serve(victim, batching={"max_batch": 4})
    answer = await running.infer(images(11))
    np.testing.assert_allclose(
        answer["embedding"], victim.encoder.answer(images(11), ["embedding"])["embedding"], atol=1e-5
    )


async def test_oblong_images_are_taken(serve):
    running = await serve()
    answer = await running.infer(np.zeros((2, 16, 32, 3), np.uint8), ["feature_map"])
    assert answer["feature_map"].shape == (2, 8, 48)


async def test_metadata_publishes_tensors_limits_and_digest(serve):
    running = await serve(limits={"max_images_per_request": 100}, batching={"max_batch": 64})
    metadata = await running.call("ModelMetadata", pb.ModelMetadataRequest(name="victim"))
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [("images", "UINT8", [-1, -1, -1, 3])]
    assert {t.name: list(t.shape) for t in metadata.outputs} == {
        "embedding": [-1, 48],
        "feature_map": [-1, -1, 48],
        "posterior": [-1, 10],
    }
    properties = dict(metadata.latentprint_properties)
    assert len(properties.pop("serving_digest")) == 64
    assert properties == {
        "architecture": "vit_tiny_patch16_224",
        "image_size": "32",
        "max_images_per_request": "100",
        "max_message_bytes": str(64 * 2**20),
        "max_side": "1024",
        "mean": "0.5,0.5,0.5",
        "min_side": "1",
        "model_args": "{}",
        "outputs": "embedding,feature_map,posterior",
        "precision": "fp32",
        "preferred_images_per_request": "64",
        "std": "0.5,0.5,0.5",
        "weights_digest": "0" * 64,
    }


async def test_preferred_images_fit_a_message_both_ways(serve, images):
    running = await serve(limits={"max_message_bytes": 200_000})
    metadata = await running.call("ModelMetadata", pb.ModelMetadataRequest(name="victim"))
    preferred = int(metadata.latentprint_properties["preferred_images_per_request"])
    assert 20 < preferred < 65
    assert len((await running.infer(images(preferred), []))["embedding"]) == preferred


@pytest.mark.parametrize("name", ["ServerLive", "ServerReady"])
async def test_server_calls(serve, name):
    running = await serve()
    answer = await running.call(name, getattr(pb, f"{name}Request")())
    assert answer.live if name == "ServerLive" else answer.ready
    metadata = await running.call("ServerMetadata", pb.ServerMetadataRequest())
    assert metadata.name == "latentprint"
    assert metadata.version
