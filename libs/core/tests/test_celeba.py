"""`celeba` from tiny copies in the official layouts, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec, users
from latentprint.core.errors import DataError, UsageError

NAMES = ["Male", "Smiling", "Young", *(f"Attribute_{i}" for i in range(37))]
FACES = ["000001.jpg", "000002.jpg", "000003.jpg"]
VALUES = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])  # of Male, Smiling, Young, by face
ATTRIBUTES, IDENTITIES, PARTITION = "list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt"


def lists() -> dict[str, str]:
    signs = [["-1", " 1"][value] for row in VALUES for value in [*row, *[0] * 37]]
    rows = [" ".join([face, *signs[40 * i : 40 * i + 40]]) for i, face in enumerate(FACES)]
    return {
        ATTRIBUTES: "\n".join(["3", " ".join(NAMES), *reversed(rows)]) + "\n",
        IDENTITIES: "000001.jpg 2880\n000002.jpg 17\n000003.jpg 2880\n",
        PARTITION: "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n",
    }


@pytest.fixture
def images(official) -> dict[str, bytes]:
    return {face: official.jpeg(i, (18, 22)) for i, face in enumerate(FACES)}


def write(official, place: Path, images, texts=None, archive="img_align_celeba.zip", folders=("", "", "")) -> Path:
    inside = {f"img_align_celeba/{name}" if archive.endswith(".zip") else name: c for name, c in images.items()}
    official.pack(place / archive, inside)
    for folder, (name, text) in zip(folders, (texts or lists()).items(), strict=True):
        official.pack(place / folder, {name: text.encode()})
    return place


def opened(path: Path, **options):
    return DatasetSpec("celeba", {"path": str(path), "side": 16, **options}).open()


def test_labels_attributes_users_and_pixels(official, images, tmp_path: Path) -> None:
    dataset = opened(write(official, tmp_path, images))
    assert list(dataset.attributes) == NAMES
    assert dataset.attributes["Male"] == ("no", "yes")
    for column, name in enumerate(NAMES[:3]):
        assert dataset.labels[name].tolist() == VALUES[:, column].tolist()
    assert dataset.labels["split"].tolist() == [0, 1, 2]
    assert users(dataset).tolist() == [1, 0, 1]
    want = np.stack([official.naive(images[face], 16) for face in FACES])
    np.testing.assert_array_equal(dataset.images(np.arange(3)), want)


def test_the_task_is_one_attribute_or_several_and_decodes_nothing_anew(official, images, tmp_path, monkeypatch) -> None:
    place = write(official, tmp_path, images)
    smiling = opened(place)
    monkeypatch.setattr("latentprint.core.datasets.cache.decode_to", None)
    several = opened(place, task=["Young", "Male"])
    assert smiling.labels["class"].tolist() == [1, 0, 1]
    assert several.labels["class"].tolist() == [2, 3, 1]
    assert smiling.digest != several.digest
    with pytest.raises(UsageError, match=r"Unknown task of 'celeba' 'male'\. Did you mean 'Male'"):
        opened(place, task="male")


def test_both_official_layouts_are_the_same_data_set(official, images, tmp_path: Path) -> None:
    flat = write(official, tmp_path / "a", images)
    extracted = write(official, tmp_path / "b", images, archive="img_align_celeba")
    sorted_ = write(
        official, tmp_path / "c", images, archive="Img/img_align_celeba.zip", folders=("Anno", "Anno", "Eval")
    )
    assert len({opened(place).digest for place in (flat, extracted, sorted_)}) == 1


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        (ATTRIBUTES, "Young ", "", "should name 40 attributes in its second line"),
        (ATTRIBUTES, "-1 ", " 0 ", r"is damaged at 00000\d\.jpg, which should have 40 values, -1 or 1"),
        (ATTRIBUTES, "3\n", "4\n", "announces 4 images and names 3"),
        (IDENTITIES, "000002.jpg 17\n", "", r"and identity_CelebA\.txt in .* do not agree about 000002\.jpg"),
        (PARTITION, " 1\n", " one\n", r"list_eval_partition\.txt is damaged, or no list of images and numbers"),
    ],
)
def test_a_damaged_list_is_named(official, images, tmp_path: Path, name: str, old: str, new: str, cause: str) -> None:
    texts = lists()
    texts[name] = texts[name].replace(old, new)
    with pytest.raises(DataError, match=cause):
        opened(write(official, tmp_path, images, texts))


def test_a_missing_image_or_list_is_named(official, images, tmp_path: Path) -> None:
    del images["000003.jpg"]
    place = write(official, tmp_path, images)
    with pytest.raises(DataError, match=r"img_align_celeba\.zip lacks 000003\.jpg, and list_attr_celeba\.txt says"):
        opened(place)
    (place / PARTITION).unlink()
    with pytest.raises(DataError, match=r"lacks a list of CelebA: it should hold list_eval_partition\.txt or"):
        opened(place)
