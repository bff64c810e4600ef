"""Architectures for small inputs: their published sizes, their bundles, and that they answer image by image."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from timm.models import save_for_hf

from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.encoders import Encoder
from latentprint.core.memory_format import channels_last
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR

NARROW = {"resnet18_cifar": 8, "resnet56_cifar": 8, "vgg16_cifar": 8, "wrn32_4_cifar": 8, "mobilenetv2_cifar": 8}
PLACES = {
    "resnet18_cifar": (16, 4),
    "resnet56_cifar": (64, 16),
    "vgg16_cifar": (4, 1),
    "wrn32_4_cifar": (64, 16),
    "mobilenetv2_cifar": (16, 4),
}
OUTPUTS = (EMBEDDING, FEATURE_MAP, POSTERIOR)


@pytest.fixture(autouse=True)
def registered():
    architectures.register()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def narrow(name, **options):
    """A small model whose batch norms know their inputs, as after a training."""
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=5, width=NARROW[name], **options).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model(torch.randn(16, 3, 32, 32))
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("vgg16_cifar", {}, 14_728_266),
        ("resnet56_cifar", {}, 855_770),
        ("wrn32_4_cifar", {}, 7_399_130),
        ("wrn32_4_cifar", {"depth": 16}, 2_748_890),
        ("wrn32_4_cifar", {"depth": 40}, 8_949_210),
        ("wrn32_4_cifar", {"depth": 28, "width": 160}, 36_479_194),
        ("mobilenetv2_cifar", {}, 2_236_682),
        ("resnet18_cifar", {}, 11_173_962),
        ("mlp", {"in_features": 600, "hidden": 128}, 600 * 128 + 128 + 128 * 10 + 10),
        ("mlp", {"in_features": 8, "hidden": (4, 3)}, 8 * 4 + 4 + 4 * 3 + 3 + 3 * 10 + 10),
    ],
)
def test_sizes_are_the_published_ones(name, options, parameters):
    model = timm.create_model(name, num_classes=10, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_architecture_takes_the_options_of_size_that_it_names():
    assert {"vgg16_cifar", "mlp", "resnet18_cifar_narrow"} <= set(architectures.OPTIONS)
    for name, options in architectures.OPTIONS.items():
        model = timm.create_model(name, num_classes=3, **dict.fromkeys(options, 16))
        assert model.num_classes == 3
        assert model.num_features in (16, 64, 128, 1280)


@pytest.mark.parametrize("name", NARROW)
def test_outputs_have_their_shapes_at_both_image_sizes(name, images):
    encoder = Encoder(narrow(name), OUTPUTS)
    for side, places in zip((32, 16), PLACES[name], strict=True):
        answers = encoder.answer(np.ascontiguousarray(images[:, :side, :side]), OUTPUTS)
        assert answers[EMBEDDING].shape == (6, encoder.model.num_features)
        assert answers[FEATURE_MAP].shape == (6, places, encoder.model.num_features)
        assert answers[POSTERIOR].shape == (6, 5)
        pooled = answers[FEATURE_MAP].max(axis=1) if name == "vgg16_cifar" else answers[FEATURE_MAP].mean(axis=1)
        np.testing.assert_allclose(answers[EMBEDDING], pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [0, 4])
@pytest.mark.parametrize("name", NARROW)
def test_an_answer_never_depends_on_its_neighbours(name, groups, images):
    encoder = Encoder(narrow(name, norm_groups=groups).train(), OUTPUTS)
    together = encoder.answer(images, OUTPUTS)
    for row in range(len(images)):
        alone = encoder.answer(images[row : row + 1], OUTPUTS)
        for output in OUTPUTS:
            scale = max(1.0, together[output].max())
            np.testing.assert_allclose(alone[output][0] / scale, together[output][row] / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NARROW)
def test_a_group_norm_leaves_no_batch_norm_even_in_training(name):
    model = narrow(name, norm_groups=4).train()
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules())
    batch = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(batch)[:1], model(batch[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NARROW)
def test_a_bundle_answers_as_the_model_it_was_made_from(name, images, tmp_path: Path):
    model = narrow(name)
    card = BundleCard("untrained", OUTPUTS, 32, (0.5,) * 3, (0.25,) * 3)
    save_bundle(model, tmp_path / "victim", card, {"num_classes": 5, "width": NARROW[name]})
    encoder, _ = open_bundle(tmp_path / "victim")
    expected = Encoder(channels_last(model), OUTPUTS, card.mean, card.std).answer(images, OUTPUTS)
    for output, values in encoder.answer(images, OUTPUTS).items():
        np.testing.assert_array_equal(values, expected[output])


def test_the_last_pooling_of_vgg_is_the_heads(images):
    model = narrow("vgg16_cifar")
    pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
    pooled = torch.nn.functional.max_pool2d(model.features(pixels), 2).flatten(1)
    torch.testing.assert_close(model.forward_head(model.forward_features(pixels)), model.head.fc(pooled))


def test_a_perceptron_answers_vector_by_vector_and_is_saved_whole(tmp_path: Path):
    options = {"in_features": 12, "hidden": [8, 6], "num_classes": 3}
    model = timm.create_model("mlp", **options).eval()
    vectors = torch.randn(7, 12)
    features = model.forward_features(vectors)
    assert (features.shape, model.num_features) == ((7, 6), 6)
    assert (model.forward_head(features, pre_logits=True) == features).all()
    torch.testing.assert_close(model.forward_head(features), model(vectors))
    torch.testing.assert_close(model(vectors[2:3])[0], model(vectors)[2])
    save_for_hf(model, str(tmp_path / "victim"), model_args=options, safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path / 'victim'}", pretrained=True).eval()
    torch.testing.assert_close(again(vectors), model(vectors), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "shape"), [("lunet", (8 * 4, 32)), ("lunet_narrow", (32 * 16, 16))])
def test_a_lunet_embeds_images_of_any_shape_one_by_one(name, shape, tmp_path: Path):
    torch.manual_seed(1)
    model = timm.create_model(name, width=8).train()
    model(torch.randn(8, 3, 64, 32))
    card = BundleCard("untrained", (EMBEDDING, FEATURE_MAP), (128, 64), (0.5,) * 3, (0.25,) * 3)
    save_bundle(model.eval(), tmp_path / "victim", card, {"width": 8})
    encoder, read = open_bundle(tmp_path / "victim")
    assert read.sample_shape == (128, 64, 3)
    assert encoder.shapes(read.sample_shape) == {EMBEDDING: (128,), FEATURE_MAP: shape}
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), dtype=np.uint8)
    together = encoder.answer(pictures, (EMBEDDING,))[EMBEDDING]
    alone = np.concatenate([encoder.answer(pictures[i : i + 1], (EMBEDDING,))[EMBEDDING] for i in range(3)])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


def test_a_lunet_has_its_documented_blocks():
    model = timm.create_model("lunet", num_classes=3)
    blocks = [block.conv3.out_channels for block in model.stages if hasattr(block, "conv3")]
    assert blocks == [128, *[256] * 5, *[512] * 5]
    assert model(torch.zeros(2, 3, 32, 16)).shape == (2, 3)
