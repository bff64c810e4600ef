"""Bundles of encoders that were trained elsewhere."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from latentprint.core import architectures
from latentprint.core.bundles import open_bundle
from latentprint.core.encoders import Encoder
from latentprint.core.errors import DataError, LatentprintError, UsageError
from latentprint.trainer.foreign import WHOLE, Architecture, Chosen, import_encoder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIT = {"patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 3}
NARROW = Architecture("resnet18_cifar_narrow", 0, {}, 32, MEAN, STD)


@pytest.fixture
def model() -> nn.Module:
    return made("resnet18_cifar_narrow", num_classes=5)


def made(name: str, **options: Any) -> nn.Module:
    """A model with weights as a training would leave them, norms included."""
    architectures.register()
    torch.manual_seed(0)
    built: nn.Module = timm.create_model(name, **options)
    for buffer in built.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    return built.eval()


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def answers_alike(folder: Path, model: nn.Module, outputs: list[str]) -> bool:
    encoder, card = open_bundle(folder)
    expected = Encoder(model, outputs, MEAN, STD).answer(images(), outputs)
    assert (card.recipe, card.image_size, card.outputs) == ("imported", 32, tuple(outputs))
    return all(np.array_equal(encoder.answer(images(), outputs)[name], expected[name]) for name in outputs)


NESTINGS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "arch": "resnet"},
    "ddp": lambda state: {"model": {f"module.{name}": value for name, value in state.items()}, "lr": 0.1},
    "ema": lambda state: {"ema": {"decay": 0.99, "shadow": state}},
    "compiled": lambda state: OrderedDict((f"module._orig_mod.{name}", value) for name, value in state.items()),
    "optimiser": lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "larger": lambda state: {
        **{f"backbone.{name}": value for name, value in state.items()},
        "projector.0.weight": torch.zeros(3, 3),
    },
    "half": lambda state: {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
}


@pytest.mark.parametrize("nesting", NESTINGS)
def test_a_checkpoint_answers_as_its_model_does(nesting: str, model: nn.Module, tmp_path: Path) -> None:
    torch.save(NESTINGS[nesting](model.state_dict()), tmp_path / "weights.pt")
    imported = import_encoder(NARROW, tmp_path / "weights.pt", tmp_path / "victim")
    if nesting == "half":
        model = model.half().float()
    assert answers_alike(tmp_path / "victim", model, ["embedding", "feature_map"])
    assert {name.rpartition("fc.")[2] for name in imported.left_out if "fc." in name} == {"weight", "bias"}
    assert ("projector.0.weight" in imported.left_out) == (nesting == "larger")


def test_safetensors_and_a_kept_classifier(model: nn.Module, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    kept = Architecture("resnet18_cifar_narrow", 5, {}, 32, MEAN, STD)
    imported = import_encoder(kept, tmp_path / "weights.safetensors", tmp_path / "victim")
    assert imported.left_out == ()
    assert imported.shapes["posterior"] == (5,)
    assert answers_alike(tmp_path / "victim", model, ["embedding", "feature_map", "posterior"])


def test_a_timm_vit_of_another_size(tmp_path: Path) -> None:
    vit = made("vit_tiny_patch16_224", img_size=32, num_classes=7, **VIT)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    import_encoder(
        Architecture("vit_tiny_patch16_224", 0, VIT, 32, MEAN, STD), tmp_path / "vit.safetensors", tmp_path / "victim"
    )
    assert answers_alike(tmp_path / "victim", vit, ["embedding", "feature_map"])
    other = Architecture("vit_tiny_patch16_224", 0, VIT, 64, MEAN, STD)
    with pytest.raises(DataError, match=r"1 of another shape: pos_embed \[1, 17, 48\] for \[1, 65, 48\]"):
        import_encoder(other, tmp_path / "vit.safetensors", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_of_vectors(tmp_path: Path) -> None:
    perceptron = made("mlp", in_features=6, hidden=[8, 4], num_classes=3)
    save_file(perceptron.state_dict(), tmp_path / "mlp.safetensors")
    options = {"in_features": 6, "hidden": [8, 4]}
    imported = import_encoder(Architecture("mlp", 0, options), tmp_path / "mlp.safetensors", tmp_path / "victim")
    assert (imported.card.features, imported.shapes) == (6, {"embedding": (4,)})
    with pytest.raises(UsageError, match="takes vectors as they are"):
        Architecture("mlp", 0, options, 32, MEAN, STD).build()


def test_several_state_dicts_and_several_encoders_are_asked_about(model: nn.Module, tmp_path: Path) -> None:
    state, other = model.state_dict(), made("resnet18_cifar_narrow").state_dict()
    torch.save({"model": state, "model_ema": other}, tmp_path / "nested.pt")
    with pytest.raises(UsageError, match="several state dicts: name one with --key, of 'model', 'model_ema'"):
        import_encoder(NARROW, tmp_path / "nested.pt", tmp_path / "victim")
    with pytest.raises(UsageError, match="no state dict at --key 'ema'"):
        import_encoder(NARROW, tmp_path / "nested.pt", tmp_path / "victim", Chosen("ema"))
    assert import_encoder(NARROW, tmp_path / "nested.pt", tmp_path / "victim", Chosen("model_ema")).key == "model_ema"
    moco = {f"module.encoder_{side}.{name}": value for side in "qk" for name, value in state.items()}
    torch.save({**moco, "module.queue": torch.zeros(3)}, tmp_path / "moco.pt")
    with pytest.raises(UsageError, match=r"--prefix, of 'module.encoder_[qk].', 'module.encoder_[qk].'"):
        import_encoder(NARROW, tmp_path / "moco.pt", tmp_path / "other")
    imported = import_encoder(NARROW, tmp_path / "moco.pt", tmp_path / "other", Chosen(prefix="module.encoder_q."))
    assert answers_alike(tmp_path / "other", model, ["embedding", "feature_map"])
    assert "module.queue" in imported.left_out


def test_a_mismatch_is_explained_key_by_key(model: nn.Module, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    del state["conv1.weight"]
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"][:3].clone()
    state |= {f"decoder.{index}\x1b[31m": torch.zeros(1) for index in range(20)}
    save_file(state, tmp_path / "weights")
    with pytest.raises(DataError) as error:
        import_encoder(NARROW, tmp_path / "weights", tmp_path / "victim")
    told = str(error.value)
    assert "does not fit 'resnet18_cifar_narrow'. 1 missing: conv1.weight; 20 unexpected: decoder." in told
    assert "and 12 more; 1 of another shape: layer1.0.conv1.weight [3, 16, 3, 3] for [16, 16, 3, 3]. " in told
    assert told.isprintable()
    state = {**model.state_dict(), "decoder.0": torch.zeros(1)}
    save_file(state, tmp_path / "fits")
    imported = import_encoder(NARROW, tmp_path / "fits", tmp_path / "victim", Chosen(drop=("decoder.",)))
    assert "decoder.0" in imported.left_out


class Runs:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_pickle_is_ever_run(model: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": model.state_dict(), "hook": Runs(tmp_path / "ran")}, tmp_path / "hooked.pt")
    torch.save(model, tmp_path / "module.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"a": Runs(tmp_path / "ran")}))
    for name in ("hooked.pt", "module.pt", "plain.pkl"):
        with pytest.raises(
            DataError, match=r"save the state dict alone \(torch.save\(model.state_dict\(\), FILE\)"
        ) as error:
            import_encoder(NARROW, tmp_path / name, tmp_path / "victim")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_of_weights_is_one_sentence(model: nn.Module, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    torch.save(model.state_dict(), tmp_path / "whole.pt")
    for name in ("whole.safetensors", "whole.pt"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"half.{name}").write_bytes(content[: len(content) // 2])
        (tmp_path / f"start.{name}").write_bytes(content[:5])
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    broken = {name: value * float("nan") for name, value in model.state_dict().items() if value.is_floating_point()}
    save_file(broken, tmp_path / "nan.safetensors")
    files = [path for path in tmp_path.iterdir() if not path.name.startswith("whole")]
    assert len(files) == 9
    for path in (*files, tmp_path / "nowhere"):
        with pytest.raises(DataError) as error:
            import_encoder(NARROW, path, tmp_path / "victim")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (Architecture("resnet5", 0, {}, 32, MEAN, STD), "Unknown architecture 'resnet5'. Did you mean 'resnet"),
        (Architecture("resnet18_cifar_narrow"), "give --size, --mean and --std"),
        (Architecture("resnet18_cifar_narrow", 0, {"depth": 3}, 32, MEAN, STD), "cannot be made with"),
        (Architecture("resnet18_cifar_narrow", 0, {}, 0, MEAN, STD), "--size must be at least 1"),
        (Architecture("vgg16_cifar", 0, {}, 4, MEAN, STD), "does not answer samples of the shape"),
    ],
)
def test_an_architecture_that_cannot_be_is_one_sentence(architecture: Architecture, words: str, tmp_path: Path) -> None:
    weights = made("vgg16_cifar") if architecture.name == "vgg16_cifar" else made("resnet18_cifar_narrow")
    save_file(weights.state_dict(), tmp_path / "weights")
    with pytest.raises(UsageError, match=words):
        import_encoder(architecture, tmp_path / "weights", tmp_path / "victim", WHOLE)


def test_a_folder_that_holds_something_is_never_overwritten(model: nn.Module, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "weights")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "mine").write_text("mine")
    with pytest.raises(LatentprintError, match="exists already: choose another folder with --out"):
        import_encoder(NARROW, tmp_path / "weights", tmp_path / "victim")
