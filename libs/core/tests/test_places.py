"""`places` from tiny copies in the official layout, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError

KINDS = {"/a/airfield": 2, "/a/alcove": 1, "/a/apartment_building/outdoor": 2}  # 1 indoor, 2 outdoor
FOLDERS = ("airfield", "alcove", "apartment_building-outdoor")
CATEGORIES, SIDES = "categories_places365.txt", "IO_places365.txt"


def lists() -> dict[str, bytes]:
    return {
        CATEGORIES: "".join(f"{kind} {i}\n" for i, kind in enumerate(KINDS)).encode(),
        SIDES: "".join(f"{kind} {side}\n" for kind, side in reversed(KINDS.items())).encode(),
    }


@pytest.fixture
def files(official) -> dict[str, bytes]:
    names = [f"train/{kind}/0000000{i}.jpg" for kind in FOLDERS for i in (2, 1)]
    names += [f"val/{kind}/Places365_val_{i}.jpg" for i, kind in enumerate(FOLDERS)]
    return {name: official.jpeg(seed) for seed, name in enumerate(names)} | {"val.txt": b"airfield"}


def write(official, place: Path, files, texts=None) -> Path:
    official.pack(place / "places365_standard", files)
    return official.pack(place, texts or lists())


def opened(path: Path, **options):
    return DatasetSpec("places", {"path": str(path), "side": 16, **options}).open()


def test_order_labels_attributes_and_pixels(official, files, tmp_path: Path) -> None:
    dataset = opened(write(official, tmp_path, files))
    assert dataset.labels["category"].tolist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]
    assert dataset.labels["class"].tolist() == dataset.labels["category"].tolist()
    assert dataset.labels["surroundings"].tolist() == [1, 1, 0, 0, 1, 1, 1, 0, 1]
    assert dataset.labels["split"].tolist() == [0] * 6 + [1] * 3
    assert dataset.attributes == {"category": FOLDERS, "surroundings": ("indoor", "outdoor")}
    names = sorted(name for name in files if name.endswith(".jpg"))
    want = np.stack([official.naive(files[name], 16) for name in names])
    np.testing.assert_array_equal(dataset.images(np.arange(9)), want)


def test_the_task_may_be_the_surroundings_and_decodes_nothing_anew(official, files, tmp_path, monkeypatch) -> None:
    place = write(official, tmp_path, files)
    categories = opened(place)
    monkeypatch.setattr("latentprint.core.datasets.cache.decode_to", None)
    surroundings = opened(place, task="surroundings")
    assert surroundings.labels["class"].tolist() == categories.labels["surroundings"].tolist()
    assert surroundings.digest != categories.digest
    with pytest.raises(UsageError, match="task: Input should be 'category' or 'surroundings'"):
        opened(place, task="indoor")


def test_the_archive_and_nested_folders_are_the_same_data_set_and_splits_are_its_parts(
    official, files, tmp_path
) -> None:
    flat = write(official, tmp_path / "a", files)
    packed = official.pack(tmp_path / "b", lists())
    inside = {f"places365_standard/{name}": content for name, content in files.items()}
    official.pack(packed / "places365standard_easyformat.tar", inside)
    nested = write(official, tmp_path / "c", {name.replace("g-o", "g/o"): content for name, content in files.items()})
    whole, *others = (opened(place) for place in (flat, packed, nested))
    assert {other.digest for other in others} == {whole.digest}
    part = opened(flat, split="val")
    np.testing.assert_array_equal(part.images(np.arange(3)), whole.images(np.arange(6, 9)))
    assert part.labels["split"].tolist() == [1, 1, 1]


def test_what_is_missing_or_foreign_is_named(official, files, tmp_path: Path) -> None:
    few = {name: content for name, content in files.items() if "val/alcove" not in name}
    with pytest.raises(DataError, match="lacks the images of val/alcove"):
        opened(write(official, tmp_path / "a", few))
    foreign = files | {"train/abbey/1.jpg": files["train/alcove/00000001.jpg"]}
    with pytest.raises(DataError, match=r"holds train/abbey/1\.jpg, of a category that categories_places365\.txt does"):
        opened(write(official, tmp_path / "b", foreign))
    with pytest.raises(DataError, match=r"lacks the images of Places365: it should hold places365_standard or"):
        opened(official.pack(tmp_path / "c", lists()))


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        (SIDES, b"/a/alcove 1\n", b"", "do not agree about /a/alcove"),
        (SIDES, b" 1\n", b" 3\n", r"give each 1 \(indoor\) or 2 \(outdoor\)"),
        (CATEGORIES, b" 2\n", b" 9\n", "should number the categories from 0"),
        (CATEGORIES, b" 2\n", b"\n", "is damaged, or no list of categories and numbers"),
    ],
)
def test_a_damaged_list_is_named(official, files, tmp_path: Path, name: str, old: bytes, new: bytes, cause) -> None:
    texts = lists()
    texts[name] = texts[name].replace(old, new)
    with pytest.raises(DataError, match=cause):
        opened(write(official, tmp_path, files, texts))
