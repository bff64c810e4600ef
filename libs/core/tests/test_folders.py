"""`folder` and `folders`: a user's own images, and every way in which they may be wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec, folders_spec, image_files, paired_folders
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import parse_size, written


def picture(seed: int, size: tuple[int, int] = (20, 12)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def fill(root: Path, names: list[str], first_seed: int = 0) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(first_seed + i).save(path)
    return root


def open_folder(root: Path, side: int = 8):
    return DatasetSpec("folder", {"path": str(root), "side": side}).open()


def test_sorted_by_path_and_classes_from_subfolders(tmp_path: Path) -> None:
    fill(tmp_path, ["dog/2.png", "cat/b.bmp", "dog/10.webp", "cat/a.jpg", "cat/deep/er.png"])
    dataset = open_folder(tmp_path)
    assert [len(dataset), dataset.image_size] == [5, (8, 8)]
    assert dataset.labels["class"].tolist() == [0, 0, 0, 1, 1]  # cat/a, cat/b, cat/deep/er, dog/10, dog/2
    last = DatasetSpec("folder", {"path": str(fill(tmp_path / "one", ["x.png"])), "side": 8}).open()
    np.testing.assert_array_equal(dataset.images(np.array([4]))[0], last.images(np.array([0]))[0])


def test_without_subfolders_every_class_is_zero(tmp_path: Path) -> None:
    assert open_folder(fill(tmp_path, ["b.png", "a.png"])).labels["class"].tolist() == [0, 0]


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png"])
    (tmp_path / ".DS_Store").write_bytes(b"whatever")
    assert len(open_folder(tmp_path)) == 1


def test_shorter_side_is_scaled_and_the_centre_cut_out(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = [200, 100, 50]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    image = open_folder(tmp_path).images(np.array([0]))[0]
    np.testing.assert_array_equal(image, np.broadcast_to([200, 100, 50], (8, 8, 3)))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    upright = picture(0, (16, 16))
    upright.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees counter-clockwise
    upright.rotate(90).save(tmp_path / "b.png", exif=exif)
    images = open_folder(tmp_path, 16).images(np.arange(2))
    np.testing.assert_array_equal(images[0], images[1])


def test_grey_palette_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    for mode in ("L", "P", "RGBA", "1"):
        picture(1).convert(mode).save(tmp_path / f"{mode}.png")
    assert open_folder(tmp_path).images(np.arange(4)).shape == (4, 8, 8, 3)


def test_digest_follows_content_not_names_of_folders(tmp_path: Path) -> None:
    one = open_folder(fill(tmp_path / "one", ["a.png", "b.png"]))
    same = open_folder(fill(tmp_path / "two", ["a.png", "b.png"]))
    other = open_folder(fill(tmp_path / "three", ["a.png", "b.png"], first_seed=9))
    assert one.digest == same.digest
    assert one.digest != other.digest
    assert one.digest != open_folder(tmp_path / "one", 16).digest


def test_a_text_file_is_named(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(DataError, match=r"notes\.txt is not a PNG, JPEG, WebP or BMP image"):
        open_folder(tmp_path)


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_broken_image_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    fill(tmp_path, ["a.png"])
    broken = tmp_path / f"broken.{suffix}"
    picture(3, (64, 64)).save(broken)
    content = broken.read_bytes()
    broken.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=rf"broken\.{suffix} is"):
        open_folder(tmp_path)


def test_deep_pixels_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png has more than 8 bits"):
        open_folder(tmp_path)


def test_an_empty_a_missing_and_a_mixed_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        open_folder(tmp_path)
    with pytest.raises(DataError, match="No such folder"):
        open_folder(tmp_path / "nowhere")
    fill(tmp_path, ["cat/a.png", "dog/b.png", "loose.png"])
    mixed = open_folder(tmp_path)
    assert mixed.files is not None
    assert mixed.files.classes == ((),)  # an image in no subfolder has no class, so none has
    assert mixed.labels["class"].tolist() == [0, 0, 0]


def test_paired_folders(tmp_path: Path) -> None:
    members = fill(tmp_path / "in", ["cat/1.png", "dog/2.png"])
    others = fill(tmp_path / "out", ["cat/3.png", "emu/4.png", "dog/5.png"], first_seed=10)
    dataset, member = paired_folders(members, others, 8)
    assert member.tolist() == [True, True, False, False, False]
    assert dataset.labels["class"].tolist() == [0, 1, 0, 1, 2]  # cat, dog, emu in both
    assert folders_spec(members, others, 8).open().digest == dataset.digest
    np.testing.assert_array_equal(dataset.images(np.arange(2)), open_folder(members).images(np.arange(2)))


def test_an_image_in_both_folders_is_refused_naming_both(tmp_path: Path) -> None:
    members = fill(tmp_path / "in", ["1.png", "2.png"])
    others = fill(tmp_path / "out", ["3.png"], first_seed=10)
    picture(1).save(others / "again.bmp")  # the same pixels in another format
    with pytest.raises(DataError, match=r"in/2\.png and .*out/again\.bmp are the same image"):
        paired_folders(members, others, 8)


def test_an_image_twice_in_one_folder_is_allowed(tmp_path: Path) -> None:
    members = fill(tmp_path / "in", ["1.png"])
    picture(0).save(members / "copy.png")
    dataset, _ = paired_folders(members, fill(tmp_path / "out", ["3.png"], first_seed=10), 8)
    assert len(dataset) == 3


def test_files_are_decoded_again_only_where_one_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    decoded, real = [], image_files.decode_image

    def decode(source: Path, *how: object) -> np.ndarray:
        decoded.append(source.name)
        return real(source, *how)

    monkeypatch.setattr(image_files, "decode_image", decode)
    first = open_folder(tmp_path)
    assert sorted(decoded) == ["a.png", "b.png"]
    assert open_folder(tmp_path).digest == first.digest
    assert len(decoded) == 2
    picture(5).save(tmp_path / "b.png")
    changed = open_folder(tmp_path)
    assert len(decoded) == 4
    assert changed.digest != first.digest
    assert not np.array_equal(changed.images(np.array([1])), first.images(np.array([1])))
    picture(0).save(tmp_path / "c.png")
    (tmp_path / "a.png").unlink()
    assert open_folder(tmp_path).files.names == ("b.png", "c.png")
    images = open_folder(tmp_path).images(np.array([0, 1]))
    images[:] = 0  # what is handed out is a copy
    assert open_folder(tmp_path).images(np.array([0, 1])).any()


def test_images_are_brought_to_a_height_and_a_width(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png"])
    dataset = DatasetSpec("folder", {"path": str(tmp_path), "side": [16, 8]}).open()
    assert dataset.sample_shape == (16, 8, 3)
    whole = Image.open(tmp_path / "a.png").convert("RGB")  # 20 x 12, of which the middle 6 x 12 is scaled
    expected = whole.resize((8, 16), Image.Resampling.BICUBIC, box=(7, 0, 13, 12))
    np.testing.assert_array_equal(dataset.images(np.array([0]))[0], np.asarray(expected))
    with pytest.raises(UsageError, match=r"side must lie in 8 \.\. 1024"):
        DatasetSpec("folder", {"path": str(tmp_path), "side": [16, 4]}).open()


@pytest.mark.parametrize(("text", "size"), [("32", 32), ("128x64", (128, 64)), ("64x64", 64)])
def test_a_size_is_a_side_or_a_height_and_a_width(text: str, size: int | tuple[int, int]) -> None:
    assert parse_size(text, "--side") == size
    assert parse_size(written(size), "--side") == size


@pytest.mark.parametrize("text", ["", "x", "0", "0x8", "12x", "1x2x3", "-4", "3.5", "large"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--side must be a side in pixels"):
        parse_size(text, "--side")
