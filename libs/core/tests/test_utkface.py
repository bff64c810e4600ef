"""`utkface` from tiny copies of the official archive, whole and foreign."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

FACES = {  # name to gender, race and age
    "100_1_0_20170112213500903.jpg.chip.jpg": (1, 0, 100),
    "26_0_3_20170104023102422.jpg": (0, 3, 26),
    "9_1_4_20161219192413678.jpg.chip.jpg": (1, 4, 9),
}
MALFORMED = ("39_1_20170116174525125.jpg.chip.jpg", "61_1_9_20170109142408075.jpg", "readme.txt")


@pytest.fixture
def files(official) -> dict[str, bytes]:
    return {name: official.jpeg(seed, (20, 20)) for seed, name in enumerate([*reversed(FACES), *MALFORMED])}


def opened(path: Path, **options):
    return DatasetSpec("utkface", {"path": str(path), "side": 20, **options}).open()


def test_order_labels_attributes_and_pixels(official, files, tmp_path: Path, capsys) -> None:
    dataset = opened(official.pack(tmp_path / "UTKFace.tar.gz", {f"UTKFace/{n}": c for n, c in files.items()}))
    assert dataset.files.names == tuple(f"UTKFace/{name}" for name in sorted(FACES))
    assert [dataset.labels[name].tolist() for name in ("gender", "race", "age")] == [[1, 0, 1], [0, 3, 4], [100, 26, 9]]
    assert dataset.labels["class"].tolist() == [1, 0, 1]
    assert dataset.attributes == {
        "gender": ("male", "female"), "race": ("White", "Black", "Asian", "Indian", "others")
    }  # fmt: skip
    want = np.stack([official.naive(files[name], 20) for name in sorted(FACES)])
    np.testing.assert_array_equal(dataset.images(np.arange(3)), want)
    assert {entry.name for entry in dataset.passed_over} == set(MALFORMED)
    said = " ".join(capsys.readouterr().err.split())
    assert "Left out of utkface: 3 not named AGE_GENDER_RACE_TIME.jpg: 39_1_2017" in said


def test_archive_folder_and_their_parent_are_the_same_data_set(official, files, tmp_path: Path) -> None:
    inside = {f"UTKFace/{name}": content for name, content in files.items()}
    archive = official.pack(tmp_path / "a" / "UTKFace.tar.gz", inside)
    folder = official.pack(tmp_path / "b" / "UTKFace", files)
    datasets = [opened(place) for place in (archive, archive.parent, folder, folder.parent)]
    assert len({dataset.digest for dataset in datasets}) == 1
    assert len({len(dataset.passed_over) for dataset in [*datasets, opened(folder)]}) == 1


def test_other_layouts_are_refused_in_a_sentence(official, files, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks UTKFace: it should hold UTKFace\.tar\.gz or UTKFace\."):
        opened(official.pack(tmp_path / "pngs", {"26_0_3_20170104023102422.png": b""}))
    with pytest.raises(DataError, match="holds no faces of UTKFace, named AGE_GENDER_RACE_TIME"):
        opened(official.pack(tmp_path / "others", {name: files[name] for name in MALFORMED}))
    nested = official.pack(tmp_path / "UTKFace", {f"part1/{name}": content for name, content in files.items()})
    with pytest.raises(DataError, match=r"holds part1/100_1_0.*, and the faces of UTKFace lie in one folder"):
        opened(nested.parent)
    broken = {name: content[:-100] if name in FACES else content for name, content in files.items()}
    with pytest.raises(DataError, match=r"100_1_0_20170112213500903\.jpg\.chip\.jpg is a broken image"):
        opened(official.pack(tmp_path / "broken" / "UTKFace", broken))
