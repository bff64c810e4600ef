from pathlib import Path

import numpy as np
import pytest

from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically, writing


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two", durable=True)
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Cannot write .*file/below"):
        write_atomically(tmp_path / "file" / "below", b"")


def test_a_full_disk_is_named() -> None:
    full = Path("/dev/full")
    with pytest.raises(DataError, match="No space left on device"), writing(full), full.open("wb") as stream:
        stream.write(b"x" * 10)


def test_digests_tell_shape_type_and_value_apart() -> None:
    base = digest_arrays(a=np.zeros((2, 3), dtype=np.float32))
    assert base == digest_arrays(a=np.zeros((2, 3), dtype=np.float32))
    others = [np.zeros((3, 2), np.float32), np.zeros((2, 3), np.float64), np.ones((2, 3), np.float32)]
    assert base not in [digest_arrays(a=other) for other in others]
    assert base != digest_arrays(b=np.zeros((2, 3), dtype=np.float32))
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
