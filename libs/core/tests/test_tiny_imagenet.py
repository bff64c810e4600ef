"""`tiny_imagenet` from tiny archives in the official layout, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError

ROOT = "tiny-imagenet-200"
WNIDS = ["n02", "n01", "n03"]  # the official list is not sorted either
IDS = np.arange(9)


@pytest.fixture
def files(official) -> dict[str, bytes]:
    made = {"wnids.txt": "\n".join(WNIDS).encode(), "words.txt": b"n01\tgoldfish\n"}
    for seed, wnid in enumerate(WNIDS):
        for i in (1, 0):
            made[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = official.jpeg(10 * seed + i, (64, 64))
        made[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(f"{wnid}_{i}.JPEG\t0\t0\t9\t9\n" for i in (0, 1)).encode()
    for i in range(3):
        made[f"val/images/val_{i}.JPEG"] = official.jpeg(100 + i, (64, 64), "L" if i == 0 else "RGB")
    made["val/val_annotations.txt"] = (
        b"val_1.JPEG\tn01\t0\t0\t9\t9\nval_0.JPEG\tn03\t0\t0\t9\t9\nval_2.JPEG\tn02\t0\t0\t9\t9\n"
    )
    made["test/images/test_0.JPEG"] = official.jpeg(200, (64, 64))
    return made


def packed(official, place: Path, files: dict[str, bytes]) -> Path:
    return official.pack(place, {f"{ROOT}/{name}": content for name, content in files.items()})


def opened(path: Path, **options):
    return DatasetSpec("tiny_imagenet", {"path": str(path), **options}).open()


def expected_names(files: dict[str, bytes]) -> list[str]:
    train = [f"train/{wnid}/images/{wnid}_{i}.JPEG" for wnid in sorted(WNIDS) for i in (0, 1)]
    return train + [f"val/images/val_{i}.JPEG" for i in range(3)]


def test_order_labels_and_pixels(official, files, tmp_path: Path) -> None:
    dataset = opened(packed(official, tmp_path / "tiny-imagenet-200.zip", files))
    assert len(dataset) == 9
    assert dataset.image_size == (64, 64)
    assert dataset.labels["class"].tolist() == [0, 0, 1, 1, 2, 2, 2, 0, 1]
    assert dataset.labels["split"].tolist() == [0] * 6 + [1] * 3
    want = [official.naive(files[name], 64) for name in expected_names(files)]
    np.testing.assert_array_equal(dataset.images(IDS), np.stack(want))
    np.testing.assert_array_equal(dataset.images(np.array([7, 2, 7])), np.stack([want[7], want[2], want[7]]))


def test_archive_folder_and_their_parent_are_the_same_data_set(official, files, tmp_path: Path) -> None:
    archive = packed(official, tmp_path / "a" / "tiny-imagenet-200.zip", files)
    tar = packed(official, tmp_path / "b" / "tiny.tar", files)
    folder = official.pack(tmp_path / "c" / ROOT, files)
    places = [archive, archive.parent, tar, folder, folder.parent]
    datasets = [opened(place) for place in places]
    assert len({dataset.digest for dataset in datasets}) == 1
    np.testing.assert_array_equal(datasets[0].images(IDS), datasets[-1].images(IDS))


def test_splits_are_parts_of_the_whole(official, files, tmp_path: Path) -> None:
    archive = packed(official, tmp_path / "tiny-imagenet-200.zip", files)
    whole, train, val = (opened(archive, split=split) for split in ("all", "train", "val"))
    np.testing.assert_array_equal(whole.images(IDS[:6]), train.images(IDS[:6]))
    np.testing.assert_array_equal(whole.images(IDS[6:]), val.images(IDS[:3]))
    assert whole.labels["class"].tolist() == [*train.labels["class"], *val.labels["class"]]
    assert len({whole.digest, train.digest, val.digest}) == 3
    with pytest.raises(UsageError, match="split: Input should be 'train', 'val' or 'all'"):
        opened(archive, split="test")


@pytest.mark.parametrize("kind", [".zip", ""])
@pytest.mark.parametrize(
    "missing",
    [
        "wnids.txt",
        "val/val_annotations.txt",
        "train/n01/n01_boxes.txt",
        "train/n02/images/n02_1.JPEG",
        "val/images/val_2.JPEG",
    ],
)
def test_a_missing_file_is_named(official, files, tmp_path: Path, kind: str, missing: str) -> None:
    del files[missing]
    place = tmp_path / (f"{ROOT}{kind}")
    path = packed(official, place, files) if kind else official.pack(place, files)
    with pytest.raises(DataError, match=rf"{ROOT}.* lacks {missing}|lacks Tiny-ImageNet"):
        opened(path)


def test_an_image_that_the_annotations_do_not_name(official, files, tmp_path: Path) -> None:
    files["val/images/val_9.JPEG"] = files["val/images/val_0.JPEG"]
    with pytest.raises(DataError, match=r"holds val/images/val_9\.JPEG, which val/val_annotations\.txt does not name"):
        opened(packed(official, tmp_path / "t.zip", files))


def test_a_kind_that_the_list_lacks(official, files, tmp_path: Path) -> None:
    files["val/val_annotations.txt"] = files["val/val_annotations.txt"].replace(b"n03", b"n77")
    with pytest.raises(DataError, match=r"val_0\.JPEG is of the kind n77, which wnids\.txt lacks"):
        opened(packed(official, tmp_path / "t.zip", files))


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.6])
@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_truncated_archive_is_named(official, files, tmp_path: Path, suffix: str, kept: float) -> None:
    archive = packed(official, tmp_path / f"tiny-imagenet-200.{suffix}", files)
    content = archive.read_bytes()
    for size in {int(len(content) * kept), int(len(content) * kept) // 512 * 512}:
        archive.write_bytes(content[:size])
        with pytest.raises(DataError, match=rf"tiny-imagenet-200\.{suffix} is truncated or not an? "):
            opened(archive)


@pytest.mark.parametrize("kind", ["t.zip", "t.tar", ROOT])
@pytest.mark.parametrize(("damage", "cause"), [(slice(0, 300), "is a broken image"), (slice(0, 0), "is not a PNG")])
def test_an_image_that_cannot_be_decoded_is_named(official, files, tmp_path: Path, kind, damage, cause) -> None:
    name = "train/n03/images/n03_1.JPEG"
    files[name] = files[name][damage]
    path = tmp_path / kind
    path = official.pack(path, files) if kind == ROOT else packed(official, path, files)
    where = f"{ROOT}/{name}" if kind == ROOT else f"{name} in .*{kind}"
    with pytest.raises(DataError, match=f"{where} {cause}"):
        opened(path)


def test_a_member_whose_bytes_were_damaged_is_named(official, files, tmp_path: Path) -> None:
    archive = packed(official, tmp_path / "t.zip", files)
    content = bytearray(archive.read_bytes())
    middle = content.index(b"n01_0.JPEG") + 200
    content[middle : middle + 8] = bytes(8)
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"n01_0\.JPEG in .*t\.zip is damaged"):
        opened(archive)


def test_a_wrong_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file or folder: .*nowhere.*tiny-imagenet-200\.zip"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"lacks Tiny-ImageNet: it should hold tiny-imagenet-200\.zip or"):
        opened(tmp_path)
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(DataError, match=r"notes\.txt is truncated or not an uncompressed \.tar"):
        opened(tmp_path / "notes.txt")
