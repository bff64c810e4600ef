"""Encoders beside a victim: every architecture's twin is served, made for the victim's images and asked rightly."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import timm

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.evidence.controls import CONTROLS, EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.runs.auxiliary import ShadowOptions
from latentprint.attack_engine.runs.controls import (
    ControlEncoder,
    described_controls,
    named_control,
    opened_control,
    untrained_control,
)
from latentprint.attack_engine.runs.users import users_shadow
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import names

VIT = "vit_tiny_patch16_224"
SMALL = {"patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 3, "num_classes": 0}


def described(architecture: str, model_args: Mapping[str, Any] | str, **properties: str) -> EndpointCard:
    """The card of somebody's server that publishes how its model is made."""
    text = model_args if isinstance(model_args, str) else json.dumps(model_args)
    return EndpointCard(
        "grpc://127.0.0.1:1",
        "theirs",
        {},
        image_side=32,
        architecture=architecture,
        properties={names.MODEL_ARGS: text, **properties},
    )


@pytest.mark.slow
def test_the_twin_takes_the_victims_images() -> None:
    architecture, model_args = VIT, {**SMALL, "img_size": [32, 32], "norm_layer": None, "drop_path_rate": 1e-06}
    card = described(architecture, model_args, mean="0.5,0.5,0.5", std="0.25,0.25,0.25")
    control = untrained_control("auto", card, side=32)
    assert control is not None
    with opened_control(control, EndpointSpec("grpc://127.0.0.1:1"), name="twin") as twin, twin.open() as opened:
        assert (opened.card.image_side, opened.card.architecture) == (32, architecture)
        assert opened.card.properties[names.MEAN] == "0.5,0.5,0.5"
        assert opened.query(np.zeros((2, 32, 32, 3), np.uint8), ["embedding"])["embedding"].shape[0] == 2


@pytest.mark.slow
def test_a_bundle_in_this_process_has_the_twin_there_that_a_server_would_have(tmp_path: Path) -> None:
    architectures.register()
    arguments = {**SMALL, "img_size": 32}
    card = BundleCard("mae", ("embedding",), 32, (0.4, 0.5, 0.6), (0.25,) * 3)
    save_bundle(timm.create_model(VIT, **arguments), tmp_path / "victim", card, arguments)
    victim, images = EndpointSpec(f"local:{tmp_path / 'victim'}"), np.arange(6144, dtype=np.uint8).reshape(2, 32, 32, 3)
    with victim.open() as opened:
        control, of_victim = untrained_control("auto", opened.card, side=None), opened.query(images, ["embedding"])
    assert control is not None
    assert control.source == f"timm:{VIT}"
    assert {"--image-size", "32", "--mean=0.4,0.5,0.6", "--model-arg=embed_dim=48"} <= set(control.options)
    answers = []
    for one in (control, replace(control, twin_of=None)):
        with opened_control(one, victim, name="twin") as twin, twin.open() as opened:
            assert opened.card.url.startswith("local:" if one is control else "grpc:")
            answers.append(opened.query(images, ["embedding"])["embedding"])
    assert not Path(twin.url.removeprefix("local:")).exists()
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    assert np.abs(answers[0] - of_victim["embedding"]).max() > 0.1


def test_what_answers_depend_on_is_what_names_an_endpoint(tmp_path: Path) -> None:
    architectures.register()
    model = timm.create_model(VIT, **SMALL, img_size=32)
    digests = []
    for mean in (0.5, 0.4):
        card = BundleCard("mae", ("embedding",), 32, (mean,) * 3, (0.25,) * 3)
        save_bundle(model, tmp_path / str(mean), card, {**SMALL, "img_size": 32})
        with EndpointSpec(f"local:{tmp_path / str(mean)}").open() as opened:
            digests.append(opened.card.identity)
    assert len(set(digests)) == 2


@pytest.mark.parametrize("published", ["[1]", "{", "3"])
def test_model_args_that_are_no_object_are_told(published: str) -> None:
    with pytest.raises(EndpointError, match="which is no JSON object"):
        untrained_control("auto", described(VIT, published), side=32)


@pytest.mark.slow
def test_a_twin_that_cannot_be_made_is_one_sentence() -> None:
    control = untrained_control("auto", described(VIT, {"no_such_argument": 1}), side=32)
    assert control is not None
    with (
        pytest.raises(EndpointError, match=r"no_such_argument.* Name another with --untrained"),
        opened_control(control, EndpointSpec("grpc://127.0.0.1:1"), name="twin"),
    ):
        pass


def test_a_shadow_of_users_has_the_cards_architecture_where_its_recipe_can() -> None:
    narrow = described("resnet18_cifar_narrow", {"width": 16})
    assert users_shadow(ShadowOptions(), narrow).options["architecture"] == "resnet18_cifar_narrow"
    assert users_shadow(ShadowOptions(), described(VIT, {})).options == {}
    named = ShadowOptions(options={"architecture": "lunet"})
    assert users_shadow(named, described(VIT, {})).options == {"architecture": "lunet"}


def test_an_architecture_nobody_has_and_none_are_no_twin() -> None:
    assert untrained_control("auto", described("their-net", {}), side=32) is None
    assert untrained_control("none", described(VIT, {}), side=32) is None


THEIRS = EndpointSpec(
    "grpcs://theirs:443/model",
    api_key_file="key",
    timeout_seconds=7,
    total_seconds=8,
    connect_seconds=9,
    in_flight=2,
    images_per_request=3,
    images_per_second=5,
    precision="fp16",
    service="their.Service",
    output_names={"embedding": "pooled"},
)


def test_a_control_on_somebodys_server_is_asked_as_the_victim_is() -> None:
    control = named_control("grpcs://theirs:443/reference", "--reference", weights="hub", side=32)
    with opened_control(control, THEIRS, name="reference") as spec:
        expected = {**vars(THEIRS), "url": "grpcs://theirs:443/reference"}
        assert vars(spec) == expected


def test_what_latentprint_serves_itself_gets_nothing_of_the_victims_server(bundle: Path) -> None:
    for text in (str(bundle), f"local:{bundle}"):
        control = named_control(text, "--reference", weights="hub", side=32)
        with opened_control(control, THEIRS, name="reference") as spec:
            assert (spec.api_key_file, spec.output_names, spec.images_per_second) == (None, {}, None)
            assert spec.timeout_seconds == THEIRS.timeout_seconds
            with spec.open() as opened:
                assert set(opened.card.outputs) == {"embedding", "feature_map"}


def test_a_timm_model_by_name_is_made_for_the_audited_images() -> None:
    trained = named_control("timm:vit_small_patch14_dinov2.lvd142m", "--reference", weights="hub", side=56)
    assert trained == ControlEncoder("timm:vit_small_patch14_dinov2.lvd142m", trained.options)
    assert trained.options[:2] == ("--weights", "hub")
    assert trained.options[-2:] == ("--image-size", "56")
    assert named_control("timm:mlp", "--untrained", weights="random").options[:2] == ("--weights", "random")


@pytest.mark.parametrize("text", ["", "nowhere", "http://host:1", "grpc://host", "local:"])
def test_a_text_that_names_no_encoder_is_one_sentence(text: str) -> None:
    form = "local:BUNDLE_DIR" if text == "local:" else "grpc://HOST:PORT"
    with pytest.raises(UsageError, match=form):
        named_control(text, "--reference", weights="hub")


def test_a_bundle_that_was_trained_is_no_untrained_encoder(tmp_path: Path) -> None:
    architectures.register()
    model_args = {"num_classes": 0}
    card = BundleCard("moco", ("embedding",), 32, (0.5,) * 3, (0.25,) * 3)
    save_bundle(timm.create_model("resnet18_cifar_narrow", **model_args), tmp_path, card, model_args)
    for text in (str(tmp_path), f"local:{tmp_path}"):
        with pytest.raises(UsageError, match=r"was trained \(moco\)"):
            untrained_control(text, described("", {}), side=32)
    assert named_control(str(tmp_path), "--reference", weights="hub").source == str(tmp_path)


def test_a_control_is_described_by_what_is_known_of_it() -> None:
    assert described_controls("auto", "") == CONTROLS
    named = described_controls("grpc://127.0.0.1:1/m", "victims/other")
    for name, text in ((UNTRAINED, "grpc://127.0.0.1:1/m"), (PLACEBO, "victims/other")):
        assert text in named[name]
        assert "was not checked" in named[name]
    assert named[EXCHANGED] == CONTROLS[EXCHANGED]


def test_a_server_ends_with_the_process_that_started_it(bundle: Path) -> None:
    code = (
        "import sys, time\n"
        "from latentprint.attack_engine.asking.server_process import starting_server\n"
        f"with starting_server({{'victim': {str(bundle)!r}}}) as server:\n"
        "    while not server.is_ready(): time.sleep(0.05)\n"
        "    print(server.process.pid, flush=True); time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        server = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    assert not psutil.wait_procs([server], timeout=60)[1]
