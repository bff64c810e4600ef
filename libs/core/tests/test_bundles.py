import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from latentprint.core import architectures
from latentprint.core.bundles import CARD, WEIGHTS, BundleCard, open_bundle, read_card, save_bundle
from latentprint.core.encoders import Encoder
from latentprint.core.errors import DataError, UsageError
from latentprint.core.memory_format import channels_last
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR

VIT = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "global_pool": "avg",
    "fc_norm": False,
    "dynamic_img_size": True,
    "num_classes": 0,
}
MODELS = {
    "vit_tiny_patch16_224": VIT,
    "resnet18_cifar_narrow": {"num_classes": 0},
    "resnet18_cifar": {"num_classes": 10, "width": 8},
}


def make(name: str) -> torch.nn.Module:
    architectures.register()
    return timm.create_model(name, **MODELS[name])


def card(*outputs: str) -> BundleCard:
    return BundleCard("untrained", outputs or (EMBEDDING, FEATURE_MAP), 32, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(make("vit_tiny_patch16_224"), tmp_path / "victim", card(), VIT)
    return tmp_path / "victim"


def test_a_bundle_opens_in_the_memory_format_that_its_convolutions_are_fastest_in(bundle: Path) -> None:
    encoder, _ = open_bundle(bundle)
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    assert convolutions
    assert all(one.weight.is_contiguous(memory_format=torch.channels_last) for one in convolutions)


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_answers_as_the_model_it_was_made_from(name: str, tmp_path: Path, images: np.ndarray) -> None:
    model = make(name)
    outputs = (EMBEDDING, FEATURE_MAP, *((POSTERIOR,) if MODELS[name]["num_classes"] else ()))
    save_bundle(model, tmp_path / "victim", card(*outputs), MODELS[name])
    encoder, read = open_bundle(tmp_path / "victim")
    expected = Encoder(channels_last(model), outputs, (0.5,) * 3, (0.25,) * 3).answer(images, outputs)
    for output, values in encoder.answer(images, outputs).items():
        np.testing.assert_array_equal(values, expected[output])
    assert read.outputs == outputs


@pytest.mark.parametrize("name", MODELS)
def test_timm_alone_opens_a_bundle(name: str, tmp_path: Path) -> None:
    model = make(name)
    save_bundle(model, tmp_path / "victim", card(), MODELS[name])
    again = timm.create_model(f"local-dir:{tmp_path / 'victim'}", pretrained=True)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    assert tuple(again.pretrained_cfg["mean"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_have_their_meaning_at_both_image_sizes(name: str, images: np.ndarray) -> None:
    encoder = Encoder(make(name), (EMBEDDING, FEATURE_MAP))
    for side, locations in ((32, 16), (16, 4)):
        answers = encoder.answer(images[:, :side, :side], (EMBEDDING, FEATURE_MAP))
        assert answers[FEATURE_MAP].shape[1] == locations
        np.testing.assert_allclose(answers[EMBEDDING], answers[FEATURE_MAP].mean(axis=1), atol=1e-5)


def test_posteriors_are_probabilities(images: np.ndarray) -> None:
    posterior = Encoder(make("resnet18_cifar"), (POSTERIOR,)).answer(images, (POSTERIOR,))[POSTERIOR]
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)
    assert posterior.min() >= 0


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_never_depends_on_its_neighbours_even_after_train(name: str, images: np.ndarray) -> None:
    encoder = Encoder(make(name).train(), (EMBEDDING,))
    together = encoder.answer(images, (EMBEDDING,))[EMBEDDING]
    alone = np.concatenate([encoder.answer(images[i : i + 1], (EMBEDDING,))[EMBEDDING] for i in range(len(images))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_output_that_is_not_public_is_refused(bundle: Path, images: np.ndarray) -> None:
    encoder, _ = open_bundle(bundle, (EMBEDDING,))
    with pytest.raises(UsageError, match="Unknown output 'feature_map'"):
        encoder.answer(images, (FEATURE_MAP,))
    with pytest.raises(UsageError, match="Did you mean 'embedding'"):
        open_bundle(bundle, ("embeddings",))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncate", "is truncated or altered"),
        ("remove", "lacks model.safetensors"),
        ("foreign", "holds a foreign file, pytorch_model.bin"),
        ("card", "is not valid JSON"),
        ("key", "unknown key 'recipee'. Did you mean 'recipe'"),
        ("folder", "is not a folder"),
    ],
)
def test_a_damaged_bundle_is_refused_by_file(bundle: Path, damage: str, message: str) -> None:
    weights = bundle / WEIGHTS
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "remove":
        weights.unlink()
    elif damage == "foreign":
        torch.save({}, bundle / "pytorch_model.bin")
    elif damage == "card":
        (bundle / CARD).write_text("{")
    elif damage == "key":
        content = json.loads((bundle / CARD).read_text())
        (bundle / CARD).write_text(json.dumps({**content, "recipee": "mae"}))
    else:
        bundle = bundle / "nowhere"
    with pytest.raises((DataError, UsageError), match=message):
        read_card(bundle)
