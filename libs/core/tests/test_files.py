from pathlib import Path

import numpy as np
import pytest

from latentprint.core.digests import digest_arrays, digest_code, digest_imports, digest_json
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


def test_a_changed_source_changes_the_code_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "watched"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = digest_code("watched")
    assert digest_code("watched") == before
    (package / "part.py").write_text("a = 2\n")
    assert digest_code("watched") != before


def test_only_what_a_module_imports_belongs_to_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "recipes_of"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "one": "from recipes_of.shared import x\n",
        "shared": "x = 1\n",
        "two": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    one, two = digest_imports("recipes_of.one", "recipes_of"), digest_imports("recipes_of.two", "recipes_of")
    (package / "shared.py").write_text("x = 2\n")
    assert digest_imports("recipes_of.one", "recipes_of") != one
    assert digest_imports("recipes_of.two", "recipes_of") == two
    (package / "two.py").write_text("y = 1\n")
    assert digest_imports("recipes_of.two", "recipes_of") != two
