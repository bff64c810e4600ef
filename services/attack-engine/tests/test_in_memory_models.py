"""Models that a program holds, asked as endpoints."""

import numpy as np
import pytest
import torch
from torch import nn

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.drivers.in_memory import InMemoryModel
from latentprint.core.errors import EndpointError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
SHAPE = (8, 8, 3)


def answers(model, outputs=("embedding",), shape=SHAPE, samples=IMAGES, **options):
    held = InMemoryModel(model, shape, **options)
    with EndpointSpec("python:model", model=held).open() as endpoint:
        return endpoint.query(samples, outputs)


def test_a_module_is_asked_normalised_in_eval_mode_and_left_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    found = answers(module, mean=mean, std=std)["embedding"]
    inputs = (torch.from_numpy(IMAGES).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    np.testing.assert_allclose(found, module.eval()(inputs.permute(0, 3, 1, 2)).detach(), atol=1e-5)


def test_maps_are_tokens_and_their_mean_the_embedding():
    maps = np.random.default_rng(1).normal(size=(5, 7, 2, 3)).astype(np.float32)
    found = answers(lambda images: maps[: len(images)], ("embedding", "feature_map"))
    np.testing.assert_array_equal(found["feature_map"][:, 4], maps[:, :, 1, 1])
    np.testing.assert_allclose(found["embedding"], maps.mean(axis=(2, 3)), atol=1e-6)


def test_a_function_sees_the_images_themselves_and_may_name_its_outputs():
    seen = []

    def model(images):
        seen.append(images)
        return {"posterior": np.full((len(images), 2), 0.5), "embedding": images.reshape(len(images), -1)}

    found = answers(model, ("embedding",))
    assert list(found) == ["embedding"]
    np.testing.assert_array_equal(seen[-1], IMAGES)
    np.testing.assert_array_equal(found["embedding"], IMAGES.reshape(5, -1))


def test_vectors_are_asked_as_they_are():
    vectors = np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32)
    found = answers(nn.Linear(6, 3), shape=(6,), samples=vectors)
    assert found["embedding"].shape == (4, 3)


def test_no_two_models_share_what_is_kept():
    first, second = (InMemoryModel(lambda images: images.reshape(len(images), -1), SHAPE) for _ in range(2))
    assert first.read_card().identity != second.read_card().identity


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda images: {"features": images}, UsageError, "features"),
        (lambda images: np.zeros(len(images)), EndpointError, r"shape \[2\]"),
        (lambda images: np.zeros((1, 4)), EndpointError, "the first axis must be the samples'"),
    ],
)
def test_answers_that_are_no_outputs_are_refused_before_anything_is_asked(model, error, message):
    with pytest.raises(error, match=message):
        InMemoryModel(model, SHAPE)
