"""The adversary's own images in a live audit: what each is for, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.attack_engine.asking import EndpointCard
from latentprint.attack_engine.runs.auxiliary import ShadowOptions, auxiliary_of_folder, knows_shadow, shadow_choice
from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.folders import folders_spec
from latentprint.core.errors import DataError, UsageError

SIDE = 8


def images(folder: Path, count: int, seed: int, classes: tuple[str, ...] = ("a", "b")) -> Path:
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = folder / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return folder


@pytest.fixture
def audited(tmp_path: Path) -> DatasetSpec:
    return folders_spec(images(tmp_path / "in", 20, 0), images(tmp_path / "out", 20, 1), SIDE)


def test_a_quarter_is_on_each_side_of_the_shadow_model_and_half_is_distilled_with(
    audited: DatasetSpec, tmp_path: Path
) -> None:
    spec, split = auxiliary_of_folder(images(tmp_path / "own", 40, 2), audited, seed=0, shadowed=True)
    dataset = spec.open()
    parts = [split.ids(member=True), split.ids(member=False), split.distillation]
    assert [len(part) for part in parts] == [10, 10, 20]
    everything = np.concatenate(parts)
    assert len(np.unique(everything)) == 40
    assert (dataset.labels["root"][everything] == 2).all()
    for part in parts:
        first, second = np.bincount(dataset.labels["class"][part])
        assert abs(int(first) - int(second)) <= 2
    again = auxiliary_of_folder(tmp_path / "own", audited, seed=0, shadowed=True)[1]
    assert again.digest == split.digest


def test_without_a_shadow_model_all_is_distilled_with(audited: DatasetSpec, tmp_path: Path) -> None:
    split = auxiliary_of_folder(images(tmp_path / "own", 40, 2), audited, seed=0, shadowed=False)[1]
    assert (len(split.sample_id), len(split.distillation)) == (0, 40)


def test_what_no_adversary_can_use_is_refused(audited: DatasetSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 20"):
        auxiliary_of_folder(images(tmp_path / "few", 4, 2), audited, seed=0, shadowed=True)
    with pytest.raises(DataError, match="other class folders"):
        auxiliary_of_folder(images(tmp_path / "other", 30, 2, ("a", "c")), audited, seed=0, shadowed=True)
    with pytest.raises(DataError, match="same image"):
        auxiliary_of_folder(images(tmp_path / "copied", 30, 1), audited, seed=0, shadowed=True)
    with pytest.raises(UsageError, match="--members"):
        auxiliary_of_folder(tmp_path, DatasetSpec("digits"), seed=0, shadowed=True)


def test_a_shadow_model_has_the_architecture_on_the_card_or_the_recipe_that_is_named() -> None:
    card = EndpointCard(
        url="grpc://here",
        model="m",
        outputs={"posterior": (10,)},
        architecture="resnet18_cifar_narrow",
        properties={"model_args": '{"width": 8, "num_classes": 10}'},
    )
    choice = shadow_choice(card, ShadowOptions(epochs=3))
    assert (choice.recipe, choice.epochs) == ("supervised", 3)
    assert choice.options["architecture"] == "resnet18_cifar_narrow"
    assert choice.options["architecture_options"] == {"width": 8}
    assert shadow_choice(card, ShadowOptions("mae", 2)).recipe == "mae"
    assert knows_shadow(card, ShadowOptions())
    unknown = EndpointCard(url="grpc://there", model="m", outputs={"embedding": (8,)}, architecture="vit_base")
    assert not knows_shadow(unknown, ShadowOptions())
    with pytest.raises(UsageError, match="--shadow-recipe"):
        shadow_choice(unknown, ShadowOptions())
