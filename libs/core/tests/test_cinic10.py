"""`cinic10` from tiny archives in the official layout, whole and damaged."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SUBSETS = ["train", "valid", "test"]
NAMES = ["cifar10-train-7.png", "n02691156_10.png", "n02691156_9.png"]  # sorted as text
IDS = np.arange(90)


def png(seed: int, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def every_file() -> dict[str, bytes]:
    places = [f"{subset}/{kind}/{name}" for subset in SUBSETS for kind in CLASSES for name in NAMES]
    made = {place: png(seed, "L" if seed == 4 else "RGB") for seed, place in enumerate(places)}
    shuffled = dict(sorted(made.items(), key=lambda item: item[1][-20:]))  # the archive has no order
    return {"README.md": b"CINIC-10", "synsets-to-cifar-10-classes.txt": b"airplane: n02691156", **shuffled}


@pytest.fixture
def files(every_file) -> dict[str, bytes]:
    return dict(every_file)


def expected_names() -> list[str]:
    return [f"{subset}/{kind}/{name}" for subset in SUBSETS for kind in CLASSES for name in NAMES]


def opened(path: Path, **options):
    return DatasetSpec("cinic10", {"path": str(path), **options}).open()


def test_order_labels_and_pixels(official, files, tmp_path: Path) -> None:
    dataset = opened(official.pack(tmp_path / "CINIC-10.tar.gz", files))
    assert len(dataset) == 90
    assert dataset.image_size == (32, 32)
    assert dataset.labels["class"].tolist() == [i for _ in SUBSETS for i in range(10) for _ in NAMES]
    assert dataset.labels["split"].tolist() == [0] * 30 + [1] * 30 + [2] * 30
    assert dataset.labels["origin"].tolist() == [1, 0, 0] * 30
    want = [np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB")) for name in expected_names()]
    np.testing.assert_array_equal(dataset.images(IDS), np.stack(want))


def test_images_need_not_be_square(official, files, tmp_path: Path) -> None:
    dataset = opened(official.pack(tmp_path / "CINIC-10.tar.gz", files), side=[32, 16])
    assert dataset.image_size == (32, 16)
    first = np.asarray(Image.open(io.BytesIO(files[expected_names()[0]])).convert("RGB"))
    np.testing.assert_array_equal(dataset.images(IDS[:1])[0], first[:, 8:24])  # the middle: fit is "crop"


@pytest.mark.parametrize(("origin", "kept"), [("imagenet", [1, 2]), ("cifar10", [0])])
def test_an_origin_is_part_of_the_whole_in_the_same_order(official, files, tmp_path, origin: str, kept) -> None:
    archive = official.pack(tmp_path / "CINIC-10.tar.gz", files)
    whole, part = opened(archive), opened(archive, origin=origin)
    ids = np.flatnonzero(np.isin(IDS % 3, kept))
    np.testing.assert_array_equal(part.images(np.arange(len(ids))), whole.images(ids))
    for label, values in whole.labels.items():
        np.testing.assert_array_equal(part.labels[label], values[ids])
    assert len(part) == len(ids)
    assert part.digest != whole.digest
    with pytest.raises(UsageError, match="origin: Input should be 'all', 'imagenet' or 'cifar10'"):
        opened(archive, origin="mnist")


def test_archive_folder_and_their_parent_are_the_same_data_set(official, files, tmp_path: Path) -> None:
    archive = official.pack(tmp_path / "a" / "CINIC-10.tar.gz", files)
    dotted = official.pack(tmp_path / "b" / "dotted.tar.gz", {f"./{name}": content for name, content in files.items()})
    tar = official.pack(tmp_path / "c" / "cinic.tar", files)
    folder = official.pack(tmp_path / "d" / "CINIC-10", files)
    (folder / "train/cat/.DS_Store").write_bytes(b"hidden")
    places = [archive, archive.parent, dotted, tar, folder, folder.parent]
    assert len({opened(place).digest for place in places}) == 1


def test_nothing_is_left_of_the_inflated_archive(official, files, tmp_path, decoded_images_stay_in_the_test) -> None:
    opened(official.pack(tmp_path / "CINIC-10.tar.gz", files))
    left = [path for path in (decoded_images_stay_in_the_test / "datasets").iterdir() if path.is_file()]
    assert [path.suffix for path in left] == [".lock"]


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_that_lacks_an_image_is_named(official, files, tmp_path: Path, packed: bool) -> None:
    del files[f"valid/dog/{NAMES[1]}"]
    path = official.pack(tmp_path / ("CINIC-10.tar.gz" if packed else "CINIC-10"), files)
    with pytest.raises(DataError, match=r"CINIC-10.*: valid/dog holds 2 images, and others hold 3"):
        opened(path, origin="cifar10")


def test_a_missing_class_is_named(official, files, tmp_path: Path) -> None:
    rest = {name: content for name, content in files.items() if not name.startswith("test/ship/")}
    with pytest.raises(DataError, match="test/ship holds 0 images, and others hold 3"):
        opened(official.pack(tmp_path / "c.tar.gz", rest))


@pytest.mark.parametrize(
    "name", ["train/lion/n02.png", "valid/cat/notes.txt", "test/n02.png", "train/cat/more/n02.png"]
)
def test_what_is_no_image_of_it_is_named(official, files, tmp_path: Path, name: str) -> None:
    files[name] = files[f"train/cat/{NAMES[0]}"]
    with pytest.raises(DataError, match=f"holds {name}, which is no image of CINIC-10"):
        opened(official.pack(tmp_path / "CINIC-10.tar.gz", files))


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_archive_is_named(official, files, tmp_path: Path, kept: float) -> None:
    archive = official.pack(tmp_path / "CINIC-10.tar.gz", files)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=r"CINIC-10\.tar\.gz is truncated or not a \.tar\.gz archive"):
        opened(archive)


def test_a_flipped_bit_is_found_by_the_archive_s_checksum(official, files, tmp_path: Path) -> None:
    archive = official.pack(tmp_path / "CINIC-10.tar.gz", files)
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1  # of the checksum
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"CINIC-10\.tar\.gz is truncated or not a \.tar\.gz archive"):
        opened(archive)


def test_a_link_in_the_archive_is_not_followed(official, files, tmp_path: Path) -> None:
    archive = tmp_path / "CINIC-10.tar.gz"
    with tarfile.open(archive, "w:gz") as stream:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if name == f"test/frog/{NAMES[2]}":
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
                content = b""
            info.size = len(content)
            stream.addfile(info, io.BytesIO(content))
    with pytest.raises(DataError, match="test/frog holds 2 images"):
        opened(archive)


@pytest.mark.parametrize("packed", [True, False])
def test_an_image_that_cannot_be_decoded_is_named(official, files, tmp_path: Path, packed: bool) -> None:
    name = f"train/bird/{NAMES[2]}"
    files[name] = files[name][:300]
    path = official.pack(tmp_path / ("CINIC-10.tar.gz" if packed else "CINIC-10"), files)
    with pytest.raises(DataError, match=rf"{name}( in .*CINIC-10\.tar\.gz)? is a broken image"):
        opened(path)


def test_a_wrong_place(official, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file or folder: .*nowhere.*CINIC-10\.tar\.gz"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"lacks CINIC-10: it should hold CINIC-10\.tar\.gz or CINIC-10"):
        opened(tmp_path)
    with pytest.raises(DataError, match=r"other\.tar\.gz lacks the images of CINIC-10, train/airplane"):
        opened(official.pack(tmp_path / "other.tar.gz", {"notes.txt": b"no images"}))
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(DataError, match=r"Cannot write .*cache"):
        opened(tmp_path / "other.tar.gz", cache=str(tmp_path / "cache"))
