"""Training on folders of a user's own images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.bundles import read_card
from latentprint.core.errors import DataError, UsageError
from latentprint.core.split_files import read_split
from latentprint.core.splits import EVALUATION, KNOWN
from latentprint.trainer.own_images import OwnImages, inferred_side
from latentprint.trainer.request import read_request, resolve_data

SMALL = ["--set", "embed_dim=32", "--set", "depth=1", "--set", "heads=2", "--set", "batch_size=8"]


def fill(folder: Path, count: int, size: tuple[int, int] = (32, 40), seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


@pytest.mark.parametrize(
    ("sides", "side"),
    [([32, 32], 32), ([28], 32), ([8], 32), ([50, 50, 50], 48), ([3000, 2000], 224), ([100, 100, 20], 96)],
)
def test_the_side_follows_from_the_images(sides: list[int], side: int) -> None:
    assert inferred_side(np.array(sides)) == side


def test_all_of_a_folder_are_members(latentprint, tmp_path: Path) -> None:
    images = fill(tmp_path / "mine", 8)
    out = tmp_path / "victim"
    code, printed, progress = latentprint(
        "train", "mae", "--images", images, *SMALL, "--epochs", 1, "--threads", 1, "--out", out, "--mlflow", "none"
    )
    assert code == 0, progress
    split = read_split(tmp_path / "victim.split.parquet")
    assert (len(split.ids(member=True)), len(split.ids(member=False))) == (8, 0)
    assert split.source is not None
    assert split.source.options == {"path": str(images), "side": 32}
    assert read_card(out).image_size == 32
    assert f"split: {tmp_path / 'victim.split.parquet'}" in printed
    assert "32 x 32 pixels" in progress
    assert "Warning" not in progress


def test_held_out_images_are_the_splits_non_members(latentprint, tmp_path: Path) -> None:
    images, held_out = fill(tmp_path / "mine", 8), fill(tmp_path / "others", 6, seed=1)
    code, _, error = latentprint(
        "train", "mae", "--images", images, "--held-out", held_out, *SMALL, "--epochs", 1, "--threads", 1,
        "--out", tmp_path / "victim", "--mlflow", "none",
    )  # fmt: skip
    assert code == 0, error
    split = read_split(tmp_path / "victim.split.parquet")
    counts = [len(split.ids(member=member, role=role)) for member in (True, False) for role in (KNOWN, EVALUATION)]
    assert counts == [4, 4, 3, 3]
    assert len(split.validation) == 0
    assert split.open_dataset().labels["root"][split.ids(member=False)].tolist() == [1] * 6
    assert read_card(tmp_path / "victim").training["members"] == 8


def test_a_recipe_that_learns_from_held_out_images_gets_half_of_them(tmp_path: Path) -> None:
    for name, seed in (("mine", 0), ("others", 1)):
        fill(tmp_path / name / "a", 4, seed=seed)
        fill(tmp_path / name / "b", 4, seed=seed + 10)
    own = OwnImages(tmp_path / "mine", tmp_path / "others")
    _, split = own.data("adv-reg", needs_validation=True, tell=lambda text: None)
    others = np.concatenate([split.ids(member=False), split.validation])
    assert (len(split.ids(member=True)), len(split.ids(member=False)), len(split.validation)) == (8, 4, 4)
    assert sorted(others) == list(range(8, 16))
    _, again = own.data("adv-reg", needs_validation=True, tell=lambda text: None)
    assert again.digest == split.digest
    with pytest.raises(UsageError, match="'adv-reg' learns from held-out images too: name a folder with --held-out"):
        OwnImages(tmp_path / "mine").data("adv-reg", needs_validation=True, tell=lambda text: None)


def test_small_images_that_would_be_scaled_up_are_told(tmp_path: Path) -> None:
    images = fill(tmp_path / "mine", 3)
    told: list[str] = []
    OwnImages(images, side=224).data("mae", needs_validation=False, tell=told.append)
    assert len(told) == 1
    assert "3 of 3 images are smaller than 224 pixels (the smallest has 32) and are scaled up" in told[0]


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path) -> None:
    images = fill(tmp_path / "mine", 3)
    (images / "Thumbs.db").write_bytes(b"x")
    (images / "gone.png").symlink_to(tmp_path / "nowhere")
    told: list[str] = []
    OwnImages(images).data("mae", needs_validation=False, tell=told.append)
    assert "Thumbs.db" in told[0]
    assert "gone.png" in told[0]


def test_members_in_class_folders_beside_flat_others_train_a_recipe_without_labels(latentprint, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "a", 4)
    fill(tmp_path / "mine" / "b", 4, seed=1)
    fill(tmp_path / "others", 4, seed=2)
    own = ["--images", tmp_path / "mine", "--held-out", tmp_path / "others"]
    rest = ["--epochs", 1, "--threads", 1, "--out", tmp_path / "victim", "--mlflow", "none"]
    code, _, error = latentprint("train", "mae", *own, *SMALL, *rest)
    assert code == 0, error
    code, _, error = latentprint("train", "supervised", *own, *rest[:-3], tmp_path / "other", *rest[-2:])
    assert code == 2
    assert "at least two classes" in error


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"held_out": "x"}, "belong to --images"),
        ({"side": 32}, "belong to --images"),
        ({"images": "x", "data": "digits"}, "leave out --data"),
        ({"images": "x", "split": "y"}, "leave out --data"),
        ({"images": "x", "members": 3}, "leave out --members"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"split_seed": -1}, "split_seed must be at least 0, not -1"),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_request(None, {"recipe": "mae", **given})


def test_folders_without_enough_images_are_one_sentence(tmp_path: Path) -> None:
    images, one = fill(tmp_path / "mine", 3), fill(tmp_path / "one", 1, seed=1)
    for given, words in (
        ({"images": one}, "holds one image"),
        ({"images": images, "held_out": one}, "holds one image"),
        ({"images": tmp_path / "nowhere"}, "No such folder of images"),
        ({"images": images, "side": 3}, "side must lie in"),
    ):
        request = read_request(None, {"recipe": "mae", **given})
        with pytest.raises((DataError, UsageError), match=words):
            resolve_data(request, tmp_path / "split.parquet")
    fill(tmp_path / "two", 2, seed=2)
    with pytest.raises(DataError, match="at least 4"):
        OwnImages(images, tmp_path / "two").data("adv-reg", needs_validation=True, tell=lambda text: None)


@pytest.mark.parametrize("out", [".", "/", ".."])
def test_a_folder_without_a_name_is_refused_in_one_sentence(latentprint, tmp_path: Path, out: str, monkeypatch) -> None:
    images = fill(tmp_path / "mine", 3)
    monkeypatch.chdir(tmp_path / "mine")
    code, _, error = latentprint("train", "mae", "--images", images, "--out", out, "--mlflow", "none", "--epochs", 1)
    assert code in {2, 3}
    assert "error: " in error
    assert "Traceback" not in error
