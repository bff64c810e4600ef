from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from latentprint.core.errors import DataError, EndpointError, UsageError
from latentprint.encoder_server.forward import Forward
from latentprint.encoder_server.metadata import model_metadata
from latentprint.encoder_server.settings import Batching, Compute, Limits, Listening, Settings
from latentprint.encoder_server.timm_models import OWN, Inputs, from_timm
from latentprint.encoder_server.victims import Victim, from_bundle

HUB_MODEL = "test_vit.r160_in1k"
SETTINGS = Settings()


@pytest.fixture
def hub_cache(monkeypatch, tmp_path):
    """An offline hub cache: a function that puts one file of `HUB_MODEL` into it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / f"models--timm--{HUB_MODEL}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return snapshot


def test_hub_weights_are_served_from_safetensors(hub_cache):
    model = timm.create_model(HUB_MODEL)
    save_file(model.state_dict(), hub_cache / "model.safetensors")
    victim = from_timm(HUB_MODEL, "named", ["embedding"], weights="hub", seed=0, options={})
    assert (victim.name, victim.architecture, victim.image_size) == ("named", HUB_MODEL, 160)
    for key, tensor in victim.encoder.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key])


def test_only_safetensors_are_taken_from_the_hub(hub_cache):
    torch.save(timm.create_model(HUB_MODEL).state_dict(), hub_cache / "pytorch_model.bin")
    with pytest.raises(EndpointError, match="hub cannot be reached"):
        from_timm(HUB_MODEL, None, [], weights="hub", seed=0, options={})


def test_an_architecture_without_hub_weights_says_so():
    with pytest.raises(DataError, match="timm knows no weights on the hub for 'resnet18_cifar'"):
        from_timm("resnet18_cifar", None, [], weights="hub", seed=0, options={})


def test_untrained_weights_follow_the_seed_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    digests = [from_timm("test_vit", None, [], weights="random", seed=s, options={}).weights_digest for s in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("classes", "outputs"), [(0, 2), (5, 3)])
def test_a_classifier_makes_posteriors_public(classes, outputs):
    options = {"num_classes": classes}
    victim = from_timm("test_resnet", None, [], weights="random", seed=0, options=options)
    assert len(victim.encoder.outputs) == outputs


def test_a_bundle_is_served_as_its_card_says(bundle):
    victim = from_bundle(bundle, None, [])
    assert (victim.name, victim.architecture, victim.image_size) == ("victim", "vit_tiny_patch16_224", 32)
    assert victim.encoder.outputs == ("embedding", "feature_map")
    assert not victim.fixed_size
    assert from_bundle(bundle, "other", ["feature_map"]).encoder.outputs == ("feature_map",)


def test_bf16_answers_are_close(bundle):
    victim = from_bundle(bundle, None, [])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    exact, rough = (
        Forward(victim.encoder, "cpu", Compute(("cpu",), 0, precision), Batching(8))(pixels, ["embedding"])["embedding"]
        for precision in ("fp32", "bf16")
    )
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < 0.1


SMALL_VIT = {"patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 3, "num_classes": 0}


@pytest.mark.parametrize("size", [32, [32, 32], (32, 32), None])
def test_the_side_of_a_timm_model_is_a_number_or_a_pair_or_the_inputs_own(size):
    options = {**SMALL_VIT, "img_size": size}
    victim = from_timm("vit_tiny_patch16_224", None, [], weights="random", seed=0, options=options, inputs=Inputs(32))
    assert victim.sample_shape == (32, 32, 3)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_timm_model_of_images_that_are_not_square_publishes_height_and_width(fixed):
    options = {**SMALL_VIT, "img_size": [32, 64], "dynamic_img_size": not fixed}
    victim = from_timm("vit_tiny_patch16_224", None, [], weights="random", seed=0, options=options)
    properties = published(victim)
    assert victim.sample_shape == (32, 64, 3)
    assert properties["image_size"] == "32x64"
    sides = ("32x64", "32x64") if fixed else ("1", str(SETTINGS.limits.max_side))
    assert (properties["min_side"], properties["max_side"]) == sides


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"img_size": "large"}, "img_size"),
        ({"img_size": [32, 32, 3]}, "img_size"),
        ({"heads": 3}, "timm does not make 'vit_tiny_patch16_224'"),
    ],
)
def test_a_timm_model_that_cannot_be_asked_is_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        from_timm("vit_tiny_patch16_224", None, [], weights="random", seed=0, options={**SMALL_VIT, **options})


def test_a_size_that_an_architecture_does_not_take_is_told_before_it_is_served():
    with pytest.raises(UsageError, match=r"'test_vit' does not answer samples of the shape \(40, 40, 3\)"):
        from_timm("test_vit", None, [], weights="random", seed=0, options={}, inputs=Inputs(40))


def published(victim: Victim, settings: Settings = SETTINGS) -> dict[str, str]:
    shapes = victim.encoder.shapes(victim.sample_shape)
    return dict(model_metadata(victim, shapes, settings).latentprint_properties)


def served_timm(inputs: Inputs = OWN, outputs: Sequence[str] = (), name: str | None = None, **options: Any) -> Victim:
    return from_timm("test_vit", name, outputs, weights="random", seed=0, options=options, inputs=inputs)


@pytest.mark.parametrize(
    ("victim", "settings"),
    [
        (lambda: served_timm(Inputs(mean=(0.4, 0.4, 0.4))), Settings()),
        (lambda: served_timm(global_pool="max", fc_norm=False), Settings()),
        (served_timm, Settings(compute=Compute(precision="bf16"))),
        (served_timm, Settings(batching=Batching(deterministic=True))),
    ],
)
def test_the_same_weights_served_otherwise_have_another_serving_digest(victim, settings):
    plain, other = published(served_timm(fc_norm=False)), published(victim(), settings)
    assert plain["weights_digest"] == other["weights_digest"]
    assert plain["serving_digest"] != other["serving_digest"]


def test_what_changes_no_answer_is_not_in_the_serving_digest():
    settings = Settings(Limits(max_images_per_request=7), Batching(max_batch=3), Compute(threads=1), Listening(port=1))
    other = published(served_timm(outputs=["embedding"], name="else"), settings)
    assert other["serving_digest"] == published(served_timm())["serving_digest"]


def test_a_victim_keeps_the_normalisation_that_it_is_given():
    assert served_timm(Inputs(mean=(0.4, 0.4, 0.4))).encoder.channels[0] == (0.4, 0.4, 0.4)
