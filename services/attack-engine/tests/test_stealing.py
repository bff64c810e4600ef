"""A theft's parts: options, the student's width, training that goes on where it was killed, and what the card says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentprint.attack_engine.models import stealing
from latentprint.attack_engine.models.distil import DistillationSet
from latentprint.attack_engine.models.stealing import Stealing, steal, student_spec
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.models.student import Student
from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.errors import UsageError

SIDE, WIDTH, COUNT = 8, 12, 24
TINY = Stealing("mse", COUNT, 0, "resnet18_cifar_narrow", {"width": 2, "blocks": [1, 1, 1]}, epochs=3, batch_size=8)


def examples() -> DistillationSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    return DistillationSet(images, rng.normal(size=(COUNT, WIDTH)).astype(np.float32))


def a_student(width: int = WIDTH) -> Student:
    return Student(student_spec(TINY, width), "embedding", (width,), (SIDE, SIDE, 3), 1)


def weights(options: Stealing, work: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    student = a_student()
    steal(student, options, examples(), np.arange(COUNT) % 3, work, key="k", seed=seed)
    return {name: value.clone() for name, value in student.state_dict().items()}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"loss": "msee"}, "Did you mean 'mse'"),
        ({"queries": 1}, "queries must be at least 2"),
        ({"held_out": 5}, "0, or at least 20"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(changed: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(TINY, **changed)


@pytest.mark.parametrize(("width", "name"), [(8, "resnet18_cifar_narrow"), (12, "projected")])
def test_a_student_has_the_victims_width_and_its_bundle_answers_alike(width: int, name: str, tmp_path: Path) -> None:
    spec, student = student_spec(TINY, width), a_student(width).eval()
    assert spec.architecture == name
    images = examples().samples
    encoder = student.encoder()
    expected = encoder.answer(images, ("embedding",))["embedding"]
    card = BundleCard("stolen", ("embedding",), SIDE, *encoder.channels)
    save_bundle(student.model, tmp_path / "bundle", card, spec.model_args)
    found = open_bundle(tmp_path / "bundle")[0].answer(images, ("embedding",))["embedding"]
    assert found.shape == (COUNT, width)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_student_that_cannot_be_made_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="Unknown architecture 'resnet18_cifra'"):
        student_spec(replace(TINY, architecture="resnet18_cifra"), WIDTH)
    with pytest.raises(UsageError, match="timm does not make the student 'resnet18_cifar_narrow'"):
        student_spec(replace(TINY, architecture_options={"breadth": 2}), WIDTH)


@pytest.mark.parametrize("loss", ["mse", "infonce"])
def test_a_theft_that_was_killed_gives_the_same_weights(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(TINY, loss=loss)
    whole = weights(options, tmp_path / "whole")
    written = stealing.write_atomically

    def killed(path: Path, content: bytes) -> None:
        written(path, content)
        if content == b"2":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stealing, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            weights(options, tmp_path / "cut")
    again = weights(options, tmp_path / "cut")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    other = weights(options, tmp_path / "other", seed=1)
    assert not all(torch.equal(value, other[name]) for name, value in whole.items())


def test_a_checkpoint_of_another_theft_is_refused(tmp_path: Path) -> None:
    weights(TINY, tmp_path)
    with pytest.raises(Exception, match="belongs to another training"):
        steal(a_student(), TINY, examples(), np.zeros(COUNT, dtype=np.int64), tmp_path, key="other", seed=0)


@pytest.mark.parametrize("loss", STEALING_LOSSES.names())
def test_every_loss_falls_while_a_student_is_trained(loss: str, tmp_path: Path) -> None:
    options = replace(TINY, loss=loss, epochs=12, batch_size=12)
    losses = steal(a_student(), options, examples(), np.arange(COUNT) % 3, tmp_path, key="k", seed=0)
    assert len(losses) == 12
    assert losses[-1] < losses[0]
