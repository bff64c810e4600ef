"""`coco` from tiny archives in the official layout, whole and damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}]


def annotated(image: int, category: int, area: float, iscrowd: int = 0) -> dict:
    outline = {"counts": [1, 2], "size": [3, 4]} if iscrowd else [[0.0, 1.0, 2.0, 3.0]]
    return {"image_id": image, "category_id": category, "area": area, "iscrowd": iscrowd, "segmentation": outline}


TABLES = {
    "train": {
        "categories": CATEGORIES,
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", "width": 40} for i in (30, 9, 25, 40)],
        "annotations": [
            *[annotated(9, 1, 50.5), annotated(9, 18, 51.0), annotated(9, 90, 9000.0, iscrowd=1)],
            *[annotated(30, 90, 7.0), annotated(30, 18, 7.0)],  # a tie: the lower category
            annotated(40, 1, 3.0, iscrowd=1),  # a crowd only
        ],
    },
    "val": {
        "categories": CATEGORIES[::-1],
        "images": [{"id": 7, "file_name": "000000000007.jpg"}],
        "annotations": [annotated(7, 90, 1.0)],
    },
}
IMAGES = {"train": (9, 25, 30, 40), "val": (7,)}


@pytest.fixture
def parts(official) -> dict[str, dict[str, bytes]]:
    """Content of each official archive, by the folder in it."""
    made = {
        f"{split}2017": {f"{i:012d}.jpg": official.jpeg(i, (44, 30), "L" if i == 25 else "RGB") for i in ids}
        for split, ids in IMAGES.items()
    }
    tables = {f"instances_{split}2017.json": json.dumps(table).encode() for split, table in TABLES.items()}
    return {**made, "annotations": tables}


def write(official, place: Path, parts: dict[str, dict[str, bytes]], suffix: str) -> Path:
    for folder, files in parts.items():
        if suffix:
            archive = "annotations_trainval2017" if folder == "annotations" else folder
            official.pack(place / f"{archive}.zip", {f"{folder}/{name}": content for name, content in files.items()})
        else:
            official.pack(place / folder, files)
    return place


def opened(path: Path, **options):
    return DatasetSpec("coco", {"path": str(path), "side": 24, **options}).open()


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("suffix", [".zip", ""])
def test_order_labels_and_pixels(official, parts, tmp_path: Path, suffix: str, fit: str) -> None:
    dataset = opened(write(official, tmp_path, parts, suffix), fit=fit)
    assert dataset.labels["class"].tolist() == [1, 3, 1, 3, 2]  # dog, none, dog (tie), crowd only, toothbrush
    assert dataset.labels["split"].tolist() == [0, 0, 0, 0, 1]
    files = [parts["train2017"][f"{i:012d}.jpg"] for i in IMAGES["train"]] + [*parts["val2017"].values()]
    want = np.stack([official.naive(content, 24, fit) for content in files])
    np.testing.assert_array_equal(dataset.images(np.arange(5)), want)


def test_archives_and_folders_are_the_same_data_set(official, parts, tmp_path: Path) -> None:
    places = [write(official, tmp_path / str(i), parts, suffix) for i, suffix in enumerate([".zip", ""])]
    assert len({opened(place).digest for place in places}) == 1


def test_images_without_an_object_may_be_left_out(official, parts, tmp_path: Path) -> None:
    place = write(official, tmp_path, parts, ".zip")
    dataset = opened(place, unannotated="omit")
    assert dataset.labels["class"].tolist() == [1, 1, 2]
    np.testing.assert_array_equal(dataset.images(np.arange(3)), opened(place).images(np.array([0, 2, 4])))
    assert dataset.digest != opened(place).digest


def test_one_split_needs_only_its_own_archives(official, parts, tmp_path: Path) -> None:
    del parts["train2017"]
    place = write(official, tmp_path, parts, ".zip")
    assert opened(place, split="val").labels["class"].tolist() == [2]
    with pytest.raises(DataError, match=r"lacks the images of COCO's split train: it should hold train2017\.zip or"):
        opened(place)


@pytest.mark.parametrize("suffix", [".zip", ""])
@pytest.mark.parametrize(
    ("folder", "name"), [("train2017", "000000000030.jpg"), ("annotations", "instances_val2017.json")]
)
def test_a_missing_file_is_named(official, parts, tmp_path: Path, suffix: str, folder: str, name: str) -> None:
    del parts[folder][name]
    (tmp_path / "val2017").mkdir()
    with pytest.raises(DataError, match=rf"{folder}.* lacks {name}|annotations.* lacks {name}"):
        opened(write(official, tmp_path, parts, suffix))


def test_no_annotations(official, parts, tmp_path: Path) -> None:
    del parts["annotations"]
    with pytest.raises(DataError, match=r"lacks the annotations of COCO 2017.*annotations_trainval2017\.zip"):
        opened(write(official, tmp_path, parts, ".zip"))


@pytest.mark.parametrize("content", [b'{"images": [', b"[]", b'{"categories": [], "images": [{}], "annotations": []}'])
def test_annotations_that_are_none(official, parts, tmp_path: Path, content: bytes) -> None:
    parts["annotations"]["instances_train2017.json"] = content
    with pytest.raises(DataError, match=r"instances_train2017\.json in .*zip is no table of COCO's annotations"):
        opened(write(official, tmp_path, parts, ".zip"))


def test_annotations_of_another_year(official, parts, tmp_path: Path) -> None:
    other = {**TABLES["val"], "categories": CATEGORIES[1:]}
    parts["annotations"]["instances_val2017.json"] = json.dumps(other).encode()
    with pytest.raises(DataError, match=r"instances_val2017\.json in .*zip has other categories"):
        opened(write(official, tmp_path, parts, ".zip"))


def test_a_truncated_archive_and_an_undecodable_image_are_named(official, parts, tmp_path: Path) -> None:
    place = write(official, tmp_path, parts, ".zip")
    content = (place / "val2017.zip").read_bytes()
    (place / "val2017.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"val2017\.zip is truncated"):
        opened(place)
    parts["val2017"]["000000000007.jpg"] = b"<html>not found</html>"
    with pytest.raises(DataError, match=r"val2017/000000000007\.jpg in .*val2017\.zip is not a PNG, JPEG"):
        opened(write(official, tmp_path, parts, ".zip"))
