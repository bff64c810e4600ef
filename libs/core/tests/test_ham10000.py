"""`ham10000` from tiny archives in the official layout, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"
ROWS = [
    ("HAM_0000118", "ISIC_0027419", "bkl"),
    ("HAM_0000002", "ISIC_0025030", "vasc"),
    ("HAM_0000118", "ISIC_0024306", "akiec"),
    ("HAM_0002730", "ISIC_0030000", "nv"),
]
PART_1, PART_2 = "HAM10000_images_part_1", "HAM10000_images_part_2"


@pytest.fixture
def images(official) -> dict[str, bytes]:
    return {image: official.jpeg(i, (60, 45)) for i, (_, image, _) in enumerate(ROWS)}


def table(rows=ROWS, header: str = HEADER, separator: str = ",") -> str:
    lines = [header.split(","), *([lesion, image, dx, "histo", "80.0", "male", "scalp"] for lesion, image, dx in rows)]
    return "\n".join(separator.join(line) for line in lines) + "\n"


def write(official, place: Path, images, suffix=".zip", metadata="HAM10000_metadata", text=None, inner="") -> Path:
    for i, part in enumerate((PART_1, PART_2)):
        files = {f"{inner}{name}.jpg": images[name] for name in sorted(images)[2 * i : 2 * i + 2]}
        official.pack(place / f"{part}{suffix}", files)
    (place / metadata).write_text(table() if text is None else text)
    return place


def opened(path: Path, **options):
    return DatasetSpec("ham10000", {"path": str(path), "side": 20, **options}).open()


def test_order_labels_and_pixels(official, images, tmp_path: Path) -> None:
    dataset = opened(write(official, tmp_path, images))
    assert dataset.labels["class"].tolist() == [0, 6, 2, 5]
    assert dataset.labels["lesion"].tolist() == [1, 0, 1, 2]
    want = np.stack([official.naive(images[name], 20) for name in sorted(images)])
    np.testing.assert_array_equal(dataset.images(np.arange(4)), want)


def test_every_way_in_which_it_is_distributed_is_the_same_data_set(official, images, tmp_path: Path) -> None:
    places = [
        write(official, tmp_path / "a", images),
        write(official, tmp_path / "b", images, inner=f"{PART_1}/"),
        write(official, tmp_path / "c", images, suffix="", metadata="HAM10000_metadata.csv"),
        write(official, tmp_path / "d", images, metadata="HAM10000_metadata.tab", text=table(separator="\t")),
    ]
    assert len({opened(place).digest for place in places}) == 1


@pytest.mark.parametrize("suffix", [".zip", ""])
def test_a_missing_file_is_named(official, images, tmp_path: Path, suffix: str) -> None:
    del images["ISIC_0030000"]
    place = write(official, tmp_path, images, suffix)
    with pytest.raises(DataError, match=r"part_1.* and .*part_2.* lack ISIC_0030000\.jpg, which HAM10000_metadata"):
        opened(place)
    (place / "HAM10000_metadata").unlink()
    with pytest.raises(DataError, match=r"lacks the metadata of HAM10000: it should hold HAM10000_metadata\.csv"):
        opened(place)


def test_a_missing_part_is_named(official, images, tmp_path: Path) -> None:
    place = write(official, tmp_path, images)
    (place / f"{PART_2}.zip").unlink()
    with pytest.raises(DataError, match=rf"lacks images of HAM10000: it should hold {PART_2}\.zip"):
        opened(place)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (table(header=HEADER.replace("dx,", "diagnosis,")), "lacks the column dx"),
        ("", "lacks the column image_id"),
        (HEADER, "names no images"),
        (table([*ROWS, ROWS[0]]), "names an image twice"),
        (table([(*ROWS[0][:2], "flu")]), "damaged at image 'ISIC_0027419', diagnosis 'flu'"),
    ],
)
def test_a_damaged_table_is_named(official, images, tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(DataError, match=f"HAM10000_metadata.*{cause}"):
        opened(write(official, tmp_path, images, text=text))


def test_a_truncated_archive_and_an_undecodable_image_are_named(official, images, tmp_path: Path) -> None:
    place = write(official, tmp_path, {**images, "ISIC_0025030": images["ISIC_0025030"][:-200]})
    with pytest.raises(DataError, match=rf"ISIC_0025030\.jpg in .*{PART_1}\.zip is a broken image"):
        opened(place)
    archive = place / f"{PART_2}.zip"
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{PART_2}\.zip is truncated or not a \.zip archive"):
        opened(place)
