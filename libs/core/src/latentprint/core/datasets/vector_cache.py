"""Vectors that take long to compute, kept on disk: computed once, checked when opened, computed again where damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from latentprint.core.datasets.arrays import VectorDataset, vector_dataset
from latentprint.core.datasets.cache import cache_folder
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.files import write_atomically

Arrays = tuple[NDArray[Any], NDArray[np.int64]]
_DIGEST = "digest"


def kept_vectors(name: str, made_from: Any, cache: Path | None, build: Callable[[], Arrays]) -> VectorDataset:
    """A data set of vectors that are kept below the cache folder.

    Args:
        name: registered name.
        made_from: all that the vectors depend on, as plain values: fingerprints of sources, options, code.
        cache: the folder; none: see `cache_folder`.
        build: computes vectors [N, F] and classes [N] where they are not kept, or were damaged. They are kept in their
            own dtype (bits as uint8) and handed out as float32.

    Raises:
        DataError: no space or no permission in the cache, or what `build` raises.
    """
    path = cache_folder(cache) / "datasets" / f"{name}-{digest_json(made_from)[:16]}.safetensors"
    arrays = _read(path)
    if arrays is None:
        arrays = build()
        digest = np.frombuffer(bytes.fromhex(_digest(arrays)), dtype=np.uint8)
        write_atomically(path, save({"vectors": arrays[0], "class": arrays[1], _DIGEST: digest}), durable=True)
    vectors, classes = arrays
    return vector_dataset(name, vectors.astype(np.float32), {"class": classes})


def _read(path: Path) -> Arrays | None:
    """What is kept, or nothing where it is missing or damaged."""
    try:
        content = load_file(path)
        arrays = content["vectors"], content["class"]
        whole = content[_DIGEST].tobytes().hex() == _digest(arrays)
    except (OSError, SafetensorError, KeyError):
        return None
    return arrays if whole else None


def _digest(arrays: Arrays) -> str:
    return digest_arrays(vectors=arrays[0], classes=arrays[1])
