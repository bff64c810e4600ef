"""Victims of vectors, trained end to end."""

import numpy as np
import pytest

from latentprint.core.bundles import open_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.splits import draw_split
from latentprint.trainer import train, untrained

BASKETS = DatasetSpec("baskets", {"count": 400, "features": 200, "classes": 4, "noise": 0.5})
PLAIN = {
    "architecture": "mlp",
    "architecture_options": {"hidden": 64},
    "crop_scale_from": 1.0,
    "flip": 0.0,
    "batch_size": 20,
}


@pytest.fixture(scope="module")
def split():
    return draw_split(BASKETS.open(), members=200, non_members=200, seed=3, source=BASKETS)


def test_a_perceptron_is_trained_on_members_and_opens_again(split, tmp_path):
    card = train("supervised", PLAIN, BASKETS, split, tmp_path / "victim", epochs=30, threads=1, seed=1)
    assert (card.features, card.image_size, card.sample_shape) == (200, None, (200,))
    assert (card.mean, card.std, card.outputs) == ((0.0,), (1.0,), ("embedding", "posterior"))
    assert 0.3 < card.training["knn_accuracy"] <= 1
    assert 0.3 < card.training["probe_accuracy"] <= 1
    encoder, _ = open_bundle(tmp_path / "victim")
    dataset = BASKETS.open()
    right = {}
    for member in (True, False):
        ids = split.ids(member=member)
        posterior = encoder.answer(dataset.images(ids), ["posterior"])["posterior"]
        right[member] = float((posterior.argmax(axis=1) == dataset.labels["class"][ids]).mean())
    assert right[True] == 1.0
    assert 0.4 < right[False] < 1.0
    again = train("supervised", PLAIN, BASKETS, split, tmp_path / "again", epochs=30, threads=1, seed=1)
    assert again.weights_digest == card.weights_digest


def test_an_untrained_twin_has_the_same_architecture(split, tmp_path):
    card = untrained("supervised", PLAIN, BASKETS, split, tmp_path / "twin", seed=9)
    encoder, _ = open_bundle(tmp_path / "twin")
    assert (card.features, dict(encoder.shapes(card.sample_shape))) == (200, {"embedding": (64,), "posterior": (4,)})


def test_a_view_of_vectors_is_themselves(split):
    from latentprint.trainer import make_plan
    from latentprint.trainer.setup import Setup

    plan = make_plan("supervised", PLAIN, 1)
    method = Setup(plan, BASKETS, BASKETS.open(), split, 0).new_method()
    import torch

    vectors = torch.from_numpy(BASKETS.open().images(np.arange(6)))
    view = method.view(vectors, plan.options.augmentation, torch.Generator(), 0)
    assert torch.equal(view, vectors)


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("moco", {}, "The recipe 'moco' trains on images, and 'baskets' holds vectors"),
        ("mae", {}, "The recipe 'mae' trains on images"),
        ("supervised", {**PLAIN, "architecture": "resnet18_cifar", "architecture_options": {}}, "takes images"),
        ("supervised", {**PLAIN, "flip": 0.5}, "neither cropped nor flipped"),
        ("supervised", {**PLAIN, "crop_scale_from": 0.8}, "neither cropped nor flipped"),
    ],
)
def test_what_needs_images_is_refused(recipe, options, words, split, tmp_path):
    with pytest.raises(UsageError, match=words):
        train(recipe, options, BASKETS, split, tmp_path / "victim", epochs=1)


def test_a_perceptron_is_refused_for_images(split, tmp_path):
    digits = DatasetSpec("digits")
    of_images = draw_split(digits.open(), members=10, non_members=10, source=digits)
    with pytest.raises(UsageError, match="takes vectors"):
        train("supervised", PLAIN, digits, of_images, tmp_path / "victim", epochs=1)
