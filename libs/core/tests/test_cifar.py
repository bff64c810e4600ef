"""`cifar10` and `cifar100` from tiny archives in the official layout, whole and damaged."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError

FOLDER_10, FOLDER_100 = "cifar-10-batches-py", "cifar-100-python"
BATCHES_10 = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def python2_batch(data: np.ndarray, labels: dict[str, list[int]]) -> bytes:
    """A batch written as Python 2 did: protocol 2, byte strings, numpy.core.multiarray."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR(" + number(3) + text(b"|") + b"NNN"
    dtype += number(-1) + number(-1) + number(0) + b"tb"
    shape = b"(" + number(data.shape[0]) + number(data.shape[1]) + b"t"
    array += b"(" + number(1) + shape + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    entries = text(b"data") + array
    for name, values in labels.items():
        entries += text(name.encode()) + b"](" + b"".join(number(v) for v in values) + b"e"
    return b"\x80\x02}(" + entries + b"u."


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batches10() -> dict[str, bytes]:
    return {name: python2_batch(images(4, i), {"labels": [i, 1, 2, 3]}) for i, name in enumerate(BATCHES_10)}


def batches100() -> dict[str, bytes]:
    made = {}
    for i, (name, count) in enumerate([("train", 6), ("test", 3)]):
        labels = {"fine_labels": [i * 10 + k for k in range(count)], "coarse_labels": list(range(count))}
        made[name] = pickle.dumps({b"data": images(count, i), **{k.encode(): v for k, v in labels.items()}}, protocol=2)
    return made


def write_archive(path: Path, folder: str, batches: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_folder(path: Path, batches: dict[str, bytes]) -> Path:
    path.mkdir(parents=True)
    for name, content in batches.items():
        (path / name).write_bytes(content)
    return path


def test_cifar10_order_layout_and_labels(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", FOLDER_10, batches10())
    dataset = DatasetSpec("cifar10", {"path": str(archive)}).open()
    assert len(dataset) == 24
    assert dataset.image_size == (32, 32)
    assert dataset.labels["class"][::4].tolist() == [0, 1, 2, 3, 4, 5]  # training batches 1 to 5, then test
    planes = images(4, 2)[1].reshape(3, 32, 32)
    np.testing.assert_array_equal(dataset.images(np.array([9]))[0], planes.transpose(1, 2, 0))


def test_cifar100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "c.tgz", FOLDER_100, batches100())
    dataset = DatasetSpec("cifar100", {"path": str(archive)}).open()
    assert dataset.labels["class"].tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12]
    assert dataset.labels["coarse"].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    np.testing.assert_array_equal(
        dataset.images(np.array([7]))[0], images(3, 1)[1].reshape(3, 32, 32).transpose(1, 2, 0)
    )


def test_archive_extracted_folder_and_their_parent_are_the_same_data_set(tmp_path: Path) -> None:
    write_folder(tmp_path / "extracted" / FOLDER_10, batches10())
    (tmp_path / "packed").mkdir()
    archive = write_archive(tmp_path / "packed" / "cifar-10-python.tar.gz", FOLDER_10, batches10())
    places = [archive, archive.parent, tmp_path / "extracted" / FOLDER_10, tmp_path / "extracted"]
    assert len({DatasetSpec("cifar10", {"path": str(place)}).open().digest for place in places}) == 1


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", FOLDER_10, batches10())
    content = archive.read_bytes()
    for kept in (len(content) // 2, 200, 0):
        archive.write_bytes(content[:kept])
        with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is truncated or not an archive"):
            DatasetSpec("cifar10", {"path": str(archive)}).open()


@pytest.mark.parametrize("packed", [True, False])
def test_a_missing_batch_is_named(tmp_path: Path, packed: bool) -> None:
    batches = batches10()
    del batches["data_batch_4"]
    path = tmp_path / "data"
    path = write_archive(path, FOLDER_10, batches) if packed else write_folder(path, batches)
    with pytest.raises(DataError, match=r"lacks the batch \S*data_batch_4"):
        DatasetSpec("cifar10", {"path": str(path)}).open()


def test_a_truncated_batch_is_named(tmp_path: Path) -> None:
    batches = batches10()
    batches["data_batch_2"] = batches["data_batch_2"][:-300]
    folder = write_folder(tmp_path / FOLDER_10, batches)
    with pytest.raises(DataError, match="data_batch_2 is truncated or not a CIFAR batch"):
        DatasetSpec("cifar10", {"path": str(folder)}).open()


class _Command:
    def __reduce__(self) -> tuple:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize("payload", [_Command(), {"data": _Command()}, {"data": np.zeros((1, 3072)), "labels": [0]}])
def test_a_pickle_that_is_no_batch_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, payload: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_folder(tmp_path / FOLDER_10, {**batches10(), "data_batch_1": pickle.dumps(payload)})
    with pytest.raises(DataError, match=r"data_batch_1 is"):
        DatasetSpec("cifar10", {"path": str(folder)}).open()
    assert not (tmp_path / "was-run").exists()


def test_an_archive_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "x.tar.gz", FOLDER_100, batches100())
    with pytest.raises(DataError, match="lacks the batch cifar-10-batches-py/data_batch_1"):
        DatasetSpec("cifar10", {"path": str(archive)}).open()


def test_labels_that_do_not_match_the_images_are_refused(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / FOLDER_10, {**batches10(), "test_batch": python2_batch(images(3, 0), {"labels": [1]})}
    )
    with pytest.raises(DataError, match="test_batch is damaged"):
        DatasetSpec("cifar10", {"path": str(folder)}).open()


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file or folder"):
        DatasetSpec("cifar100", {"path": str(tmp_path / "nowhere")}).open()
    with pytest.raises(DataError, match=r"holds neither cifar-100-python\.tar\.gz nor"):
        DatasetSpec("cifar100", {"path": str(tmp_path)}).open()


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive on a web server of our own, where torchvision then finds it in place of the official one."""
    archive = write_archive(tmp_path / "far" / "cifar-10-python.tar.gz", FOLDER_10, batches10())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(archive.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    yield archive
    server.shutdown()
    server.server_close()


def test_on_request_the_archive_is_fetched_once(tmp_path: Path, far: Path) -> None:
    options = {"path": str(tmp_path / "near"), "download": True}
    first = DatasetSpec("cifar10", options).open()
    assert (tmp_path / "near" / far.name).read_bytes() == far.read_bytes()
    far.unlink()
    assert DatasetSpec("cifar10", options).open().digest == first.digest
    assert DatasetSpec("cifar10", {"path": str(tmp_path / "near")}).open().digest == first.digest


@pytest.mark.usefixtures("far")
def test_nothing_is_fetched_without_request(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    with pytest.raises(DataError, match="holds neither"):
        DatasetSpec("cifar10", {"path": str(tmp_path / "near")}).open()


def test_a_download_that_fails_or_brings_something_else(tmp_path: Path, far: Path) -> None:
    far.write_bytes(b"a page that asks for a password")
    options = {"path": str(tmp_path / "near"), "download": True}
    with pytest.raises(DataError, match=r"Cannot download cifar-10-python\.tar\.gz to .*near .*corrupted"):
        DatasetSpec("cifar10", options).open()
    far.unlink()
    with pytest.raises(DataError, match=r"Cannot download cifar-10-python\.tar\.gz"):
        DatasetSpec("cifar10", options).open()
    with pytest.raises(DataError, match=r"is a file: with download, path names the folder"):
        DatasetSpec("cifar10", {"path": __file__, "download": True}).open()
