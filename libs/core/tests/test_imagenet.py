"""`imagenet` from tiny archives in the official layout, whole and damaged."""

import io
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

WNIDS = ["n03", "n01", "n02"]  # in order of number, 1 to 3; the fourth synset has children
TRUTH = [3, 1, 2, 3]
TRAIN, VAL = "ILSVRC2012_img_train", "ILSVRC2012_img_val"
KIT, META = "ILSVRC2012_devkit_t12", "data/meta.mat"
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


def meta() -> bytes:
    names = [*WNIDS, "n00"]
    table = np.zeros(len(names), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")])
    for i, wnid in enumerate(names):
        table[i] = (i + 1, wnid, f"kind {i}", 3 * (wnid == "n00"))
    stream = io.BytesIO()
    savemat(stream, {"synsets": table[:, None]})
    return stream.getvalue()


@pytest.fixture
def train(official) -> dict[str, dict[str, bytes]]:
    seeds = iter(range(99))
    return {
        wnid: {f"{wnid}_{i}.JPEG": official.jpeg(next(seeds), (40, 32)) for i in range(count)}
        for wnid, count in zip(WNIDS, (2, 1, 3), strict=True)
    }


@pytest.fixture
def val(official) -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{i:08d}.JPEG": official.jpeg(50 + i, (30, 50)) for i in (2, 1, 4, 3)}


@pytest.fixture
def kit() -> dict[str, bytes]:
    return {META: meta(), GROUND_TRUTH: "\n".join(map(str, TRUTH)).encode() + b"\n", "readme.txt": b"about"}


def archives(official, place: Path, train, val, kit) -> Path:
    official.pack(place / f"{TRAIN}.tar", {f"{wnid}.tar": official.tar_bytes(files) for wnid, files in train.items()})
    official.pack(place / f"{VAL}.tar", val)
    official.pack(place / f"{KIT}.tar.gz", {f"{KIT}/{name}": content for name, content in kit.items()})
    return place


def folders(official, place: Path, train, val, kit) -> Path:
    for wnid, files in train.items():
        official.pack(place / "train" / wnid, files)
    official.pack(place / "val", val)
    official.pack(place / KIT, kit)
    return place


def opened(path: Path, **options):
    return DatasetSpec("imagenet", {"path": str(path), "side": 16, **options}).open()


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("layout", [archives, folders])
def test_order_labels_and_pixels(official, train, val, kit, tmp_path: Path, layout, fit: str) -> None:
    dataset = opened(layout(official, tmp_path, train, val, kit), fit=fit)
    assert dataset.labels["class"].tolist() == [0, 1, 1, 1, 2, 2, 1, 2, 0, 1]
    assert dataset.labels["split"].tolist() == [0] * 6 + [1] * 4
    files = [content for wnid in sorted(train) for content in train[wnid].values()]
    files += [val[name] for name in sorted(val)]
    want = np.stack([official.naive(content, 16, fit) for content in files])
    np.testing.assert_array_equal(dataset.images(np.arange(10)), want)


def test_archives_folders_and_the_usual_rearrangement_are_the_same_data_set(
    official, train, val, kit, tmp_path: Path
) -> None:
    by_kind = {f"{WNIDS[TRUTH[int(name[15:23]) - 1] - 1]}/{name}": content for name, content in val.items()}
    places = [
        archives(official, tmp_path / "a", train, val, kit),
        folders(official, tmp_path / "b", train, val, kit),
        folders(official, tmp_path / "c", train, by_kind, kit),
    ]
    assert len({opened(place).digest for place in places}) == 1


def test_one_split_needs_only_its_own_archives(official, train, val, kit, tmp_path: Path) -> None:
    place = archives(official, tmp_path, train, val, kit)
    (place / f"{TRAIN}.tar").unlink()
    assert opened(place, split="val").labels["class"].tolist() == [1, 2, 0, 1]
    with pytest.raises(DataError, match=rf"lacks ImageNet's split train: it should hold {TRAIN}\.tar or train"):
        opened(place)
    (place / f"{KIT}.tar.gz").unlink()
    with pytest.raises(DataError, match=rf"lacks ImageNet's development kit: it should hold {KIT}\.tar\.gz"):
        opened(place, split="val")
    archives(official, place, train, val, kit)
    (place / f"{KIT}.tar.gz").unlink()
    assert opened(place, split="train").labels["class"].tolist() == [0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("layout", [archives, folders])
def test_missing_files_are_named(official, train, val, kit, tmp_path: Path, layout) -> None:
    without = {name: content for name, content in val.items() if "0003" not in name}
    with pytest.raises(DataError, match=r"val\S* lacks ILSVRC2012_val_00000003\.JPEG"):
        opened(layout(official, tmp_path / "a", train, without, kit))
    fewer = {wnid: files for wnid, files in train.items() if wnid != "n02"}
    with pytest.raises(DataError, match=r"train\S* and the development kit do not agree about the kind n02"):
        opened(layout(official, tmp_path / "b", fewer, val, kit))
    for name in (META, GROUND_TRUTH):
        rest = {key: content for key, content in kit.items() if key != name}
        with pytest.raises(DataError, match=f"{KIT}.* lacks {name}"):
            opened(layout(official, tmp_path / name, train, val, rest))


def test_more_validation_images_than_labels(official, train, val, kit, tmp_path: Path) -> None:
    val["ILSVRC2012_val_00000005.JPEG"] = official.jpeg(0)
    with pytest.raises(DataError, match=r"holds ILSVRC2012_val_00000005\.JPEG, which the development kit does not"):
        opened(archives(official, tmp_path, train, val, kit))


@pytest.mark.parametrize(("name", "content"), [(META, b"MATLAB"), (META, meta()[:300]), (GROUND_TRUTH, b"1\n9\n")])
def test_a_damaged_development_kit_is_named(official, train, val, kit, tmp_path: Path, name, content) -> None:
    with pytest.raises(DataError, match=rf"{name} in .*{KIT}\.tar\.gz is damaged"):
        opened(archives(official, tmp_path, train, val, {**kit, name: content}))


@pytest.mark.parametrize("name", [f"{TRAIN}.tar", f"{VAL}.tar", f"{KIT}.tar.gz"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6])
def test_a_truncated_archive_is_named(official, train, val, kit, tmp_path: Path, name: str, kept: float) -> None:
    place = archives(official, tmp_path, train, val, kit)
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=rf"{name} is truncated or not an "):
        opened(place)


def test_a_truncated_archive_inside_the_archive_is_named(official, train, val, kit, tmp_path: Path) -> None:
    inner = {f"{wnid}.tar": official.tar_bytes(files) for wnid, files in train.items()}
    place = archives(official, tmp_path, train, val, kit)
    for size in (1000, 1024, 1536):  # within an image, at its end, and within what ends an archive
        official.pack(place / f"{TRAIN}.tar", {**inner, "n01.tar": inner["n01.tar"][:size]})
        with pytest.raises(DataError, match=rf"n01\.tar in .*{TRAIN}\.tar is truncated"):
            opened(place)


def test_an_undecodable_image_is_named(official, train, val, kit, tmp_path: Path) -> None:
    train["n02"]["n02_1.JPEG"] = train["n02"]["n02_1.JPEG"][:-100]
    with pytest.raises(DataError, match=rf"n02/n02_1\.JPEG in .*{TRAIN}\.tar is a broken image"):
        opened(archives(official, tmp_path / "a", train, val, kit))
    with pytest.raises(DataError, match=r"train/n02/n02_1\.JPEG is a broken image"):
        opened(folders(official, tmp_path / "b", train, val, kit))
