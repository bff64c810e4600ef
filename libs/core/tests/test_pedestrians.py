"""`market1501` and `prid2011` from tiny copies of the official archives, whole and foreign."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec, users
from latentprint.core.errors import DataError

MARKET = {  # name to user, camera and split; None for what is left out
    "bounding_box_train/0002_c1s1_000451_03.jpg": (0, 0, 0),
    "bounding_box_train/0007_c3s3_077419_03.jpg": (2, 2, 0),
    "bounding_box_test/-1_c1s1_000401_03.jpg": None,
    "bounding_box_test/0000_c1s1_000151_01.jpg": None,
    "bounding_box_test/0003_c6s4_015641_02.jpg": (1, 5, 1),
    "bounding_box_test/Thumbs.db": None,
    "query/0003_c1s1_001051_00.jpg": (1, 0, 2),
    "readme.txt": None,
}
PRID = {  # name to user and camera
    "multi_shot/cam_a/person_0001/0001.png": (0, 0),
    "multi_shot/cam_a/person_0001/0002.png": (0, 0),
    "multi_shot/cam_a/person_0201/0001.png": (2, 0),
    "multi_shot/cam_b/person_0001/0001.png": (0, 1),
    "multi_shot/cam_b/person_0002/0001.png": (1, 1),
    "multi_shot/cam_b/person_0201/0001.png": (3, 1),
}
SINGLE = {"single_shot/cam_a/person_0001.png": (0, 0), "single_shot/cam_b/person_0001/0001.png": (0, 1)}
ROOTS = {"market1501": "Market-1501-v15.09.15", "prid2011": "prid_2011"}
NAMES = {"market1501": MARKET, "prid2011": PRID | SINGLE}


def files(official, name: str) -> dict[str, bytes]:
    return {path: official.jpeg(seed, (16, 32)) for seed, path in enumerate(NAMES[name])}


def opened(name: str, path: Path, **options):
    return DatasetSpec(name, {"path": str(path), "side": [32, 16], **options}).open()


@pytest.mark.parametrize("query", [False, True])
def test_market_has_people_in_order_and_nobody_else(official, tmp_path: Path, query: bool) -> None:
    content = files(official, "market1501")
    dataset = opened("market1501", official.pack(tmp_path / ROOTS["market1501"], content), query=query)
    wanted = [(name, row) for name, row in MARKET.items() if row is not None and (query or row[2] < 2)]
    assert dataset.files.names == tuple(name for name, _ in wanted)
    labels = [dataset.labels[label].tolist() for label in ("user", "camera", "split")]
    assert list(zip(*labels, strict=True)) == [row for _, row in wanted]
    assert dataset.sample_shape == (32, 16, 3)
    np.testing.assert_array_equal(users(dataset), dataset.labels["class"])
    pictures = [np.asarray(Image.open(io.BytesIO(content[name])).convert("RGB")) for name, _ in wanted]
    np.testing.assert_array_equal(dataset.images(np.arange(len(wanted))), pictures)  # of their own size, as they are


@pytest.mark.parametrize(("shots", "wanted"), [("multi", PRID), ("single", SINGLE)])
def test_prid_tells_people_of_one_number_apart_beyond_those_in_both_cameras(
    official, tmp_path: Path, shots: str, wanted: dict[str, tuple[int, int]]
) -> None:
    dataset = opened("prid2011", official.pack(tmp_path / "prid_2011", files(official, "prid2011")), shots=shots)
    assert dataset.files.names == tuple(wanted)
    labels = zip(dataset.labels["user"].tolist(), dataset.labels["camera"].tolist(), strict=True)
    assert list(labels) == list(wanted.values())


@pytest.mark.parametrize("name", ROOTS)
def test_archive_folder_and_their_parent_are_the_same_data_set(official, tmp_path: Path, name: str) -> None:
    content, root = files(official, name), ROOTS[name]
    archive = official.pack(tmp_path / "a" / f"{root}.zip", {f"{root}/{path}": data for path, data in content.items()})
    bare = official.pack(tmp_path / "b" / f"{root}.zip", content)
    folder = official.pack(tmp_path / "c" / root, content)
    places = (archive, archive.parent, bare, folder, folder.parent)
    assert len({opened(name, place).digest for place in places}) == 1


@pytest.mark.parametrize(
    ("name", "foreign", "missing", "message"),
    [
        ("market1501", "bounding_box_train/2_c1.jpg", "", "holds bounding_box_train/2_c1.jpg, which is no image"),
        ("market1501", "", "bounding_box_test", "lacks the images of bounding_box_test"),
        ("prid2011", "multi_shot/cam_c/person_0001/0001.png", "", "holds multi_shot/cam_c/person_0001/0001.png, which"),
        ("prid2011", "", "multi_shot/cam_b", "lacks multi_shot/cam_b/person_0001"),
    ],
)
def test_other_layouts_are_refused_in_a_sentence(
    official, tmp_path: Path, name: str, foreign: str, missing: str, message: str
) -> None:
    content = {path: data for path, data in files(official, name).items() if not missing or missing not in path}
    place = official.pack(tmp_path / ROOTS[name], content | ({foreign: b""} if foreign else {}))
    with pytest.raises(DataError, match=message):
        opened(name, place)
    with pytest.raises(DataError, match=f"lacks .*: it should hold {ROOTS[name]}"):
        opened(name, official.pack(tmp_path / "elsewhere", {"a.txt": b""}))
