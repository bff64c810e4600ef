"""The cache of decoded images: made once, whole or not at all, and never trusted blindly."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from latentprint.core.config import from_mapping
from latentprint.core.datasets import DatasetSpec, decoding
from latentprint.core.datasets.cache import DecodedOptions
from latentprint.core.errors import DataError

COUNT = 12


@pytest.fixture
def place(official, tmp_path: Path) -> Path:
    return write(official, tmp_path / "ham", COUNT)


def write(official, place: Path, count: int, first_seed: int = 0) -> Path:
    """HAM10000's layout: two archives and a table."""
    images = {f"ISIC_{i:07d}": official.jpeg(first_seed + i, (20, 16)) for i in range(count)}
    for part in (0, 1):
        kept = {f"{name}.jpg": content for i, (name, content) in enumerate(images.items()) if i % 2 == part}
        official.pack(place / f"HAM10000_images_part_{part + 1}.zip", kept)
    lines = [f"HAM_{i // 2},{name},nv,histo,70,male,back" for i, name in enumerate(images)]
    table = "\n".join(["lesion_id,image_id,dx,dx_type,age,sex,localization", *lines])
    (place / "HAM10000_metadata").write_text(table)
    return place


@pytest.mark.parametrize("options", DecodedOptions.__subclasses__(), ids=lambda options: options.__name__)
def test_every_loader_brings_images_to_a_height_and_a_width(options: type[DecodedOptions]) -> None:
    assert from_mapping(options, {"path": "x", "side": [16, 8]}, "data set").side == (16, 8)


def spec(place: Path, **options) -> DatasetSpec:
    return DatasetSpec("ham10000", {"path": str(place), "side": 8, **options})


def drafts(cache: Path) -> list[Path]:
    return list((cache / "datasets").glob(".*.draft"))


def whole(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "datasets").iterdir() if not path.name.startswith("."))


def pixels(dataset) -> np.ndarray:
    return dataset.images(np.arange(len(dataset)))


def counting_decodes(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """The names decoded from now on; the decoder is stopped like by Ctrl-C at the `stop_at`-th."""
    decoded, real = [], decoding.decode_image

    def decode(source, where, side, fit):
        decoded.append(where)
        if len(decoded) == stop_at:
            raise KeyboardInterrupt
        return real(source, where, side, fit)

    monkeypatch.setattr(decoding, "decode_image", decode)
    return decoded


def test_a_second_opening_decodes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = spec(place).open()
    decoded = counting_decodes(monkeypatch)
    second = spec(place).open()
    assert decoded == []
    assert second.digest == first.digest
    np.testing.assert_array_equal(pixels(first), pixels(second))
    for name, values in first.labels.items():
        np.testing.assert_array_equal(second.labels[name], values)
        assert second.labels[name].dtype == np.int64
    assert [len(second.files.names), len(set(second.files.names)), second.files.roots] == [COUNT, COUNT, ()]
    assert second.files.names == first.files.names


def test_only_the_rows_asked_for_are_read(place: Path) -> None:
    dataset = spec(place).open()
    assert isinstance(dataset.pixels, np.memmap)
    dataset.images(np.array([3, 5]))
    assert np.flatnonzero(dataset.verified).tolist() == [3, 5]


def test_an_option_a_source_and_the_place_of_the_cache(official, place: Path, tmp_path: Path, monkeypatch) -> None:
    first = spec(place).open()
    assert len({first.digest, spec(place, side=9).open().digest, spec(place, fit="squash").open().digest}) == 3
    decoded = counting_decodes(monkeypatch)
    elsewhere = spec(place, cache=str(tmp_path / "mine")).open()
    assert elsewhere.digest == first.digest
    assert [len(decoded), len(whole(tmp_path / "mine"))] == [COUNT, 1]
    moved = Path(shutil.move(place, tmp_path / "moved"))
    assert spec(moved).open().digest == first.digest
    assert len(decoded) == COUNT
    assert spec(write(official, tmp_path / "other", COUNT, first_seed=50)).open().digest != first.digest


def test_a_library_that_decodes_differently_is_another_cache(place: Path, monkeypatch) -> None:
    first = spec(place).open()
    decoded = counting_decodes(monkeypatch)
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert spec(place).open().digest == first.digest
    assert len(decoded) == COUNT


def interrupted(place: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> None:
    with monkeypatch.context() as stopped:
        counting_decodes(stopped, stop_at)
        with pytest.raises(KeyboardInterrupt):
            spec(place).open()


@pytest.mark.parametrize("stop_at", [1, 6, COUNT])
def test_an_interrupted_build_goes_on(place: Path, monkeypatch, decoded_images_stay_in_the_test, stop_at: int) -> None:
    want = pixels(spec(place, cache=str(place / "want")).open())
    monkeypatch.setattr(decoding, "_CHUNK", 2 * 8 * 8 * 3)
    interrupted(place, monkeypatch, stop_at)
    assert whole(decoded_images_stay_in_the_test) == []
    decoded = counting_decodes(monkeypatch)
    np.testing.assert_array_equal(pixels(spec(place).open()), want)
    assert len(decoded) == COUNT - (stop_at - 1) // 2 * 2
    assert drafts(decoded_images_stay_in_the_test) == []


def test_a_draft_s_damaged_end_is_made_again(place: Path, monkeypatch, decoded_images_stay_in_the_test) -> None:
    want = pixels(spec(place, cache=str(place / "want")).open())
    monkeypatch.setattr(decoding, "_CHUNK", 2 * 8 * 8 * 3)
    interrupted(place, monkeypatch, 9)
    [draft] = drafts(decoded_images_stay_in_the_test)
    content = bytearray((draft / "pixels.npy").read_bytes())
    content[128 + 5 * 192 + 7] ^= 1  # in the sixth image
    (draft / "pixels.npy").write_bytes(content[:-10])
    decoded = counting_decodes(monkeypatch)
    np.testing.assert_array_equal(pixels(spec(place).open()), want)
    assert len(decoded) == COUNT - 5


@pytest.mark.slow
def test_a_killed_build_goes_on(official, tmp_path: Path, decoded_images_stay_in_the_test) -> None:
    place = write(official, tmp_path / "ham", 1500)
    code = (
        "import sys; from latentprint.core.datasets import DatasetSpec, decoding; decoding._CHUNK = 1 << 16\n"
        f"print('ready', flush=True); DatasetSpec('ham10000', {{'path': {str(place)!r}, 'side': 200}}).open()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        datasets = decoded_images_stay_in_the_test / "datasets"
        while not any(path.stat().st_size > 1 << 22 for path in datasets.glob(".*.draft/pixels.npy")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert whole(decoded_images_stay_in_the_test) == []
    dataset = spec(place, side=200).open()
    want = spec(place, side=200, cache=str(tmp_path / "want")).open()
    assert dataset.digest == want.digest
    np.testing.assert_array_equal(dataset.images(np.arange(0, 1500, 37)), want.images(np.arange(0, 1500, 37)))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def rewrite_card(path: Path) -> None:
    content = json.loads(path.read_text())
    content["card"]["digest"] = "0" * 64
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("pixels.npy", truncate),
        ("pixels.npy", Path.unlink),
        ("digests.npy", flip),
        ("labels.safetensors", truncate),
        ("labels.safetensors", flip),
        ("names.json", truncate),
        ("names.json", Path.unlink),
        ("card.json", truncate),
        ("card.json", rewrite_card),
        ("card.json", Path.unlink),
    ],
)
def test_a_damaged_cache_is_made_again(place, decoded_images_stay_in_the_test, monkeypatch, file, damage) -> None:
    first = spec(place).open()
    want = pixels(first)
    [folder] = whole(decoded_images_stay_in_the_test)
    damage(folder / file)
    decoded = counting_decodes(monkeypatch)
    second = spec(place).open()
    assert len(decoded) == COUNT
    assert second.digest == first.digest
    assert second.files.names == first.files.names
    np.testing.assert_array_equal(pixels(second), want)


def test_a_flipped_bit_among_the_pixels_is_found_when_read(place, decoded_images_stay_in_the_test) -> None:
    want = pixels(spec(place).open())
    [folder] = whole(decoded_images_stay_in_the_test)
    flip(folder / "pixels.npy")
    dataset = spec(place).open()
    np.testing.assert_array_equal(dataset.images(np.array([0])), want[:1])
    with pytest.raises(DataError, match=rf"Image {COUNT - 1} in .* was damaged on the disk: run the same command"):
        dataset.images(np.array([COUNT - 1]))
    np.testing.assert_array_equal(pixels(spec(place).open()), want)


def test_too_little_space_is_said_before_anything_is_decoded(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 5000, 5000))
    decoded = counting_decodes(monkeypatch)
    with pytest.raises(DataError, match=r"has 0\.0 GB free, and the decoded images need .* LATENTPRINT_CACHE"):
        spec(place).open()
    assert decoded == []


def test_a_cache_that_cannot_be_written_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"Cannot write .*file/datasets/ham10000"):
        spec(place, cache=str(tmp_path / "file")).open()


def test_the_default_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, place: Path, tmp_path: Path) -> None:
    monkeypatch.delenv("LATENTPRINT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    spec(place).open()
    assert len(whole(tmp_path / ".cache" / "latentprint")) == 1


def peak(place: Path) -> int:
    tracemalloc.start()
    spec(place, side=64).open()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def test_memory_does_not_grow_with_the_number_of_images(official, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "_CHUNK", 1 << 18)
    few, many = (write(official, tmp_path / str(count), count) for count in (200, 2000))
    peak(few)
    grown = peak(many) - peak(few)
    assert grown / 1800 < 2500, "bytes an image: its entry in the archive and its labels, but not its 12,288 pixels"


def _opened(options: dict, results) -> None:
    dataset = DatasetSpec("ham10000", options).open()
    results.put((os.getpid(), dataset.digest, int(dataset.images(np.arange(len(dataset))).astype(np.int64).sum())))


@pytest.mark.slow
def test_two_processes_at_once(official, tmp_path: Path, decoded_images_stay_in_the_test) -> None:
    options = dict(spec(write(official, tmp_path / "ham", 300), side=64).options)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_opened, args=(options, results)) for _ in range(2)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=90) for _ in processes]
    for process in processes:
        process.join()
    here = DatasetSpec("ham10000", options).open()
    assert len({process for process, *_ in answers}) == 2
    assert {answer[1:] for answer in answers} == {(here.digest, int(pixels(here).astype(np.int64).sum()))}
    assert [len(whole(decoded_images_stay_in_the_test)), drafts(decoded_images_stay_in_the_test)] == [1, []]
