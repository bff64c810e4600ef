"""`gtsrb` from tiny archives in the official layout, whole and damaged."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
TRAINING, TEST = "GTSRB/Final_Training/Images", "GTSRB/Final_Test/Images"
TEST_CLASSES = [16, 1, 42]
ZIPS = ("GTSRB_Final_Training_Images.zip", "GTSRB_Final_Test_Images.zip", "GTSRB_Final_Test_GT.zip")
LAYOUTS = ["zips", "one folder", "a folder each", "GTSRB itself"]


def ppm(seed: int, width: int = 17, height: int = 15) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()


def signs(kind: int) -> list[str]:
    """Two tracks of class 1, one of each other."""
    return ["00000_00000.ppm", "00000_00001.ppm", "00001_00000.ppm"] if kind == 1 else ["00000_00000.ppm"]


def table(rows: list[tuple[str, int]]) -> bytes:
    return "\r\n".join([HEADER, *(f"{name};17;15;5;5;12;10;{kind}" for name, kind in rows), ""]).encode()


@pytest.fixture
def files() -> dict[str, dict[str, bytes]]:
    """What the three archives hold."""
    training = {"GTSRB/Readme-Images.txt": b"The German Traffic Sign Recognition Benchmark"}
    for kind in range(43):
        folder = f"{TRAINING}/{kind:05d}"
        training |= {f"{folder}/{name}": ppm(100 * kind + i) for i, name in enumerate(signs(kind))}
        training[f"{folder}/GT-{kind:05d}.csv"] = table([(name, kind) for name in reversed(signs(kind))])
    test = {f"{TEST}/{i:05d}.ppm": ppm(9000 + i, 20 + i, 30) for i in range(3)}
    test[f"{TEST}/GT-final_test.test.csv"] = b"Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2\r\n"
    truth = {"GT-final_test.csv": table([(f"{i:05d}.ppm", kind) for i, kind in enumerate(TEST_CLASSES)])}
    return dict(zip(ZIPS, (training, test, truth), strict=True))


def write(official, place: Path, files, layout: str = "zips") -> Path:
    for archive, content in files.items():
        if layout == "zips":
            official.pack(place / archive, content)
        elif layout == "a folder each":
            official.pack(place / archive.removesuffix(".zip"), content)
        elif layout == "one folder":
            official.pack(place, content)
        else:
            official.pack(place, {name.removeprefix("GTSRB/"): data for name, data in content.items()})
    return place


def opened(path: Path, **options):
    return DatasetSpec("gtsrb", {"path": str(path), **options}).open()


def expected(files) -> list[bytes]:
    training = [files[ZIPS[0]][f"{TRAINING}/{kind:05d}/{name}"] for kind in range(43) for name in signs(kind)]
    return training + [files[ZIPS[1]][f"{TEST}/{i:05d}.ppm"] for i in range(3)]


def test_order_labels_and_pixels(official, files, tmp_path: Path) -> None:
    dataset = opened(write(official, tmp_path, files))
    assert len(dataset) == 48
    assert dataset.image_size == (32, 32)
    assert dataset.labels["class"].tolist() == [0, 1, 1, 1, *range(2, 43), *TEST_CLASSES]
    assert dataset.labels["split"].tolist() == [0] * 45 + [1] * 3
    assert dataset.labels["track"].tolist() == [0, 1, 1, 2, *range(3, 44), 44, 45, 46]
    want = np.stack([official.naive(content, 32, "squash") for content in expected(files)])
    np.testing.assert_array_equal(dataset.images(np.arange(48)), want)


def test_nothing_is_lost_on_the_way_from_ppm(official, files, tmp_path: Path) -> None:
    """At their own size the pixels are those of the file, byte for byte."""
    files[ZIPS[1]][f"{TEST}/00001.ppm"] = ppm(7, 20, 20)
    dataset = opened(write(official, tmp_path, files), side=20)
    assert dataset.images(np.array([46]))[0].tobytes() == ppm(7, 20, 20)[-1200:]


def test_side_and_fit(official, files, tmp_path: Path) -> None:
    dataset = opened(write(official, tmp_path, files), side=12, fit="crop")
    want = np.stack([official.naive(content, 12, "crop") for content in expected(files)])
    np.testing.assert_array_equal(dataset.images(np.arange(48)), want)


def test_every_way_in_which_it_lies_is_the_same_data_set(official, files, tmp_path: Path) -> None:
    places = [write(official, tmp_path / layout, files, layout) for layout in LAYOUTS]
    assert len({opened(place).digest for place in places}) == 1


@pytest.mark.parametrize("layout", ["zips", "one folder"])
@pytest.mark.parametrize(
    ("archive", "missing"),
    [
        (ZIPS[0], f"{TRAINING}/00007/00000_00000.ppm"),
        (ZIPS[0], f"{TRAINING}/00041/GT-00041.csv"),
        (ZIPS[1], f"{TEST}/00002.ppm"),
    ],
)
def test_a_missing_file_is_named(official, files, tmp_path: Path, layout: str, archive: str, missing: str) -> None:
    del files[archive][missing]
    name = missing.removeprefix(f"{TRAINING}/").removeprefix(f"{TEST}/")
    with pytest.raises(DataError, match=f"(Images|zip) lacks {name}"):
        opened(write(official, tmp_path, files, layout))


@pytest.mark.parametrize(
    ("archive", "what"), zip(ZIPS, ["training images", "test images", "the classes of"], strict=True)
)
def test_a_missing_archive_is_named(official, files, tmp_path: Path, archive: str, what: str) -> None:
    del files[archive]
    with pytest.raises(DataError, match=rf"lacks .*{what}.*: it should hold {archive} or "):
        opened(write(official, tmp_path, files))
    with pytest.raises(DataError, match=r"No such file or folder: .*nowhere"):
        opened(tmp_path / "nowhere")


def test_an_archive_of_something_else_is_named(official, files, tmp_path: Path) -> None:
    files[ZIPS[2]] = {"notes.txt": b"no table"}
    with pytest.raises(DataError, match=r"GT\.zip lacks GT-final_test\.csv"):
        opened(write(official, tmp_path, files))
    (tmp_path / ZIPS[0]).write_bytes((tmp_path / ZIPS[0]).read_bytes()[:-100])
    with pytest.raises(DataError, match=r"Training_Images\.zip is truncated or not a \.zip archive"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("archive", "name"), [(ZIPS[0], f"{TRAINING}/00003/00009_00000.ppm"), (ZIPS[1], f"{TEST}/7.ppm")]
)
def test_an_image_that_no_table_names(official, files, tmp_path: Path, archive: str, name: str) -> None:
    files[archive][name] = ppm(0)
    with pytest.raises(DataError, match=r"holds (00003/00009_00000|7)\.ppm, which .* do(es)? not name"):
        opened(write(official, tmp_path, files))


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        b"Filename;Width\r\n00000.ppm;17\r\n",
        table([("00000.ppm", 43)]),
        table([("00000.ppm", -1)]),
        table([("00000.ppm", 1), ("00000.ppm", 2)]),
        HEADER.encode() + b"\r\n00000.ppm;17;15;5;5;12;10;stop\r\n",
        HEADER.encode() + b"\r\n00000.ppm;17\r\n",
    ],
)
def test_a_damaged_table_is_named(official, files, tmp_path: Path, rows: bytes) -> None:
    files[ZIPS[2]]["GT-final_test.csv"] = rows
    with pytest.raises(DataError, match=r"GT-final_test\.csv in .*GT\.zip is damaged, or no table of Filename"):
        opened(write(official, tmp_path, files))


def test_a_class_that_is_not_the_folder_s_and_a_name_without_track(official, files, tmp_path: Path) -> None:
    name = f"{TRAINING}/00002/GT-00002.csv"
    files[ZIPS[0]][name] = table([("00000_00000.ppm", 3)])
    with pytest.raises(DataError, match=r"GT-00002\.csv .* gives 00002/00000_00000\.ppm another class than 2"):
        opened(write(official, tmp_path, files))
    files[ZIPS[0]][name] = table([("sign.ppm", 2)])
    files[ZIPS[0]][f"{TRAINING}/00002/sign.ppm"] = files[ZIPS[0]].pop(f"{TRAINING}/00002/00000_00000.ppm")
    with pytest.raises(DataError, match=r"sign\.ppm .* should be called TRACK_NUMBER\.ppm"):
        opened(write(official, tmp_path, files))


def grey() -> bytes:
    return b"P5\n4 4\n255\n" + bytes(16)


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("layout", ["zips", "one folder"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (ppm(0)[:200], "is a broken image"),
        (b"", "is not a PPM image"),
        (jpeg(), "is not a PPM image"),
        (grey(), "is not a PPM image of RGB pixels"),
        (b"P6\n99999 99999\n255\n", "is a broken image"),
    ],
)
def test_an_image_that_cannot_be_decoded_is_named(official, files, tmp_path: Path, layout, content, cause) -> None:
    files[ZIPS[0]][f"{TRAINING}/00005/00000_00000.ppm"] = content
    with pytest.raises(DataError, match=rf"00005/00000_00000\.ppm( in .*Training_Images\.zip)? {cause}"):
        opened(write(official, tmp_path, files, layout))
