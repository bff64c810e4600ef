"""Reading of the official CIFAR archives, whose batches are pickles, without running what a pickle may ask for."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Images
from latentprint.core.errors import DataError

SIDE = 32
_VALUES = 3 * SIDE * SIDE
_ARCHIVES = {"cifar-10-batches-py": "cifar-10-python.tar.gz", "cifar-100-python": "cifar-100-python.tar.gz"}
_LARGEST_BATCH = 1 << 29  # bytes; the official ones stay below 160 MB
_reconstruct = cast(tuple[Any, ...], np.empty(0).__reduce__())[0]


def _latin1(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class BatchUnpickler(pickle.Unpickler):
    """An unpickler that admits plain containers, strings, numbers and numpy arrays, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        """The admitted thing of that name. Raises `pickle.UnpicklingError` for any other."""
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only numpy arrays are admitted")
        return _ADMITTED[module, name]


def read_batches(path: Path, folder: str, batches: tuple[str, ...], labels: tuple[str, ...]) -> list[NDArray[Any]]:
    """Read `batches` and join them in the order given.

    Args:
        path: the official archive (.tar.gz), its extracted folder, or a folder that holds either.
        folder: name of the folder inside the archive.
        batches: file names of the batches.
        labels: keys of the label lists wanted.

    Returns:
        Images, uint8 [N, 32, 32, 3], then int64 [N] for each of `labels`.

    Raises:
        DataError: no such archive, a missing, truncated or foreign batch, by name.
    """
    parts = [_decoded(content, where, labels) for where, content in _contents(path, folder, batches)]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _contents(path: Path, folder: str, batches: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Where each batch lies, for error messages, and its bytes."""
    place = _located(path, folder, batches[0])
    if place.is_dir():
        for name in batches:
            if not (place / name).is_file():
                raise DataError(f"{place} lacks the batch {name}: extract the official archive again.")
            yield str(place / name), (place / name).read_bytes()
        return
    with _opened_archive(place) as archive:
        for name in batches:
            yield f"{name} in {place}", _member(archive, f"{folder}/{name}", place)


def _located(path: Path, folder: str, first: str) -> Path:
    """The archive or the folder of batches that `path` means."""
    if path.is_file() or (path / first).is_file():
        return path
    for inside in (path / folder, path / _ARCHIVES[folder]):
        if inside.exists():
            return inside
    if path.is_dir():
        raise DataError(f"{path} holds neither {_ARCHIVES[folder]} nor its extracted folder {folder}.")
    raise DataError(f"No such file or folder: {path}. It should be {_ARCHIVES[folder]} or its extracted folder.")


@contextmanager
def _opened_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, opened; whatever shows that it is damaged becomes a `DataError`."""
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} is truncated or not an archive ({error}): fetch the official archive again.") from None


def _member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getmember(name)
    except KeyError:
        raise DataError(f"{path} lacks the batch {name}: fetch the official archive again.") from None
    stream: IO[bytes] | None = archive.extractfile(info)
    if stream is None or info.size > _LARGEST_BATCH:
        raise DataError(f"{name} in {path} is not a batch: it is no file, or too large.")
    return stream.read()


def _decoded(content: bytes, where: str, labels: tuple[str, ...]) -> tuple[Images | NDArray[np.int64], ...]:
    """One batch: images, uint8 [n, 32, 32, 3], and int64 [n] for each of `labels`."""
    try:
        batch = BatchUnpickler(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DataError(f"{where} is truncated or not a CIFAR batch: {error}.") from None
    if not isinstance(batch, dict):
        raise DataError(f"{where} is not a CIFAR batch: it should hold a dictionary.")
    named = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    for key in ("data", *labels):
        if key not in named:
            raise DataError(f"{where} is not a CIFAR batch of the kind asked for: it lacks {key!r}.")
    data = named["data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _VALUES:
        raise DataError(f"{where} is not a CIFAR batch: its data should be uint8 of shape [n, {_VALUES}].")
    columns = [np.asarray(named[key], dtype=np.int64) for key in labels]
    if any(column.shape != (len(data),) for column in columns):
        raise DataError(f"{where} is damaged: it has {len(data)} images and another number of labels.")
    planes = data.reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), *columns
