"""A model that is trained to be forgotten is the one that `train` would have written."""

from typing import Any

import numpy as np
import pytest
import torch

from latentprint.core.bundles import open_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.splits import draw_split
from latentprint.core.threads import using_threads
from latentprint.trainer import DefenceSpec, train, train_encoder

MLP = {
    "architecture": "mlp",
    "architecture_options": {"hidden": 16},
    "crop_scale_from": 1.0,
    "flip": 0.0,
    "batch_size": 8,
}
BASKETS = DatasetSpec("baskets", {"count": 200, "features": 40, "classes": 4})
DP_SGD = DefenceSpec("dp-sgd", {"epsilon": 8.0, "delta": 1e-3})


def alone(recipe: str, options: dict[str, Any], spec: DatasetSpec, members: np.ndarray, **keywords: Any) -> Any:
    with using_threads(1):
        return train_encoder(recipe, options, spec.open(), members, epochs=2, seed=5, **keywords)


def assert_same(encoder: Any, folder: Any, samples: np.ndarray) -> None:
    published, _ = open_bundle(folder)
    own, other = encoder.state_dict(), published.state_dict()
    assert list(own) == list(other)
    assert all(torch.equal(own[name], other[name]) for name in own)
    answers, expected = (one.answer(samples, published.outputs) for one in (encoder, published))
    assert encoder.outputs == published.outputs
    assert not encoder.training
    for name, answer in expected.items():  # weights may lie otherwise in memory, which changes the rounding
        np.testing.assert_allclose(answers[name], answer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["supervised", "mae", "adv-reg"])
def test_the_weights_are_those_that_train_writes(recipe, train_tiny, tiny_options, digits, split, tmp_path):
    train_tiny(recipe)
    held_out = split.validation if recipe == "adv-reg" else None
    encoder = alone(recipe, tiny_options(recipe), digits, split.ids(member=True), validation=held_out)
    assert_same(encoder, tmp_path / "victim", digits.open().images(np.arange(3)))


def test_the_weights_of_a_defended_model_of_vectors_are_those_that_train_writes(tmp_path):
    drawn = draw_split(BASKETS.open(), members=40, non_members=40, source=BASKETS)
    train("supervised", MLP, BASKETS, drawn, tmp_path / "v", epochs=2, seed=5, threads=1, defences=[DP_SGD])
    encoder = alone("supervised", MLP, BASKETS, drawn.ids(member=True), defences=[DP_SGD])
    assert_same(encoder, tmp_path / "v", BASKETS.open().images(np.arange(3)))


def test_the_seed_and_the_members_decide(split, digits, tiny_options):
    members, options = split.ids(member=True), tiny_options("supervised")
    states = [
        alone("supervised", options, digits, ids).state_dict() for ids in (members, members, split.ids(member=False))
    ]
    one, same, other = ([value for value in state.values() if value.ndim > 1] for state in states)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_learns_from_held_out_samples_needs_them(split, digits, tiny_options):
    with pytest.raises(UsageError, match="validation"):
        alone("adv-reg", tiny_options("adv-reg"), digits, split.ids(member=True))
    with pytest.raises(UsageError, match="Known:"):
        alone("supervised", {"batchsize": 3}, digits, split.ids(member=True))
