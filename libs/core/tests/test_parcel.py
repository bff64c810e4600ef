"""What a task names on one machine, as another one finds it: paths, data sets, shared values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentprint.core.carried_data import CarriedFiles
from latentprint.core.datasets import DatasetSpec
from latentprint.core.mirror import Mirror
from latentprint.core.parcel import Shared, packed, unpacked
from latentprint.core.storage import Storage


@dataclass(frozen=True)
class Inner:
    place: Path
    further: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    again: Inner
    places: tuple[Path, ...]
    numbers: Any
    elsewhere: Path = Path("/etc/hosts")

    @cached_property
    def result(self) -> Path:
        return self.inner.place / "result"


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Mirror, Mirror]:
    monkeypatch.chdir(tmp_path)
    storage = Storage((tmp_path / "storage").as_uri())
    return Mirror(Path("runs"), storage), Mirror(tmp_path / "scratch", storage)


def travelled(value: Any, machines: tuple[Mirror, Mirror]) -> Any:
    one, two = machines
    return unpacked(packed(value, one), two, lambda reference: f"loaded {reference}")


def test_paths_below_the_folder_are_found_below_the_other_at_any_depth(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    inner = Inner(Path("runs/store/a"), {"b": one.root.absolute() / "b"})
    numbers = np.arange(3)
    given = Outer(inner, inner, (Path("runs/c"), Path("elsewhere")), numbers)
    assert given.result == Path("runs/store/a/result")  # kept by the object, and so it travels
    come = travelled(given, machines)
    assert come.inner.place == two.root / "store" / "a"
    assert come.inner.further == {"b": two.root / "b"}
    assert come.places == (two.root / "c", Path("elsewhere"))
    assert come.result == two.root / "store" / "a" / "result"
    assert come.elsewhere == Path("/etc/hosts")
    assert come.again is come.inner
    assert come.numbers is numbers
    assert given.inner.place == Path("runs/store/a")


def test_a_shared_value_goes_by_reference(machines: tuple[Mirror, Mirror]) -> None:
    assert travelled([Shared("reference", str)], machines)[0]() == "loaded reference"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    rng, made = np.random.default_rng(0), []
    for name in ("members", "others"):
        folder = tmp_path / "driver" / name / "class"
        folder.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        made.append(folder.parent)
    (made[0] / "linked").symlink_to(made[0] / "class" / "0.png")
    return made[0], made[1]


def test_a_data_set_of_files_opens_alike_where_its_files_are_not(
    machines: tuple[Mirror, Mirror], folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DatasetSpec("folders", {"paths": tuple(map(str, folders)), "side": 8})
    inside = DatasetSpec("as-published", {"of": {"name": spec.name, "options": spec.options}, "treated": (0, 1)})
    digest, before = spec.open().digest, {path: path.stat().st_mtime_ns for path in folders[0].rglob("*")}
    parcel = packed([spec, inside], machines[0])
    assert {path: path.stat().st_mtime_ns for path in folders[0].rglob("*")} == before
    folders[0].parent.rename(folders[0].parent.with_name("gone"))
    come, nested = unpacked(parcel, machines[1], str)
    assert come.open().digest == digest
    assert all(path.startswith(str(machines[1].root)) for path in come.options["paths"])
    assert nested.options["of"]["options"]["paths"] == come.options["paths"]
    assert nested.options["treated"] == (0, 1)

    kept: list[str] = []
    monkeypatch.setattr(Storage, "keep", lambda self, path, key, **_: kept.append(key))
    again = unpacked(packed(come, machines[1]), machines[1], str)  # from that machine to a third one
    assert again == come
    assert kept == []


def test_a_machine_that_was_killed_while_files_came_brings_them_again(
    machines: tuple[Mirror, Mirror], folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DatasetSpec("folder", {"path": str(folders[1]), "side": 8})
    parcel, (_, two) = packed(spec, machines[0]), machines
    fetch, fetched = Storage.fetch, list[str]()

    def cut_off(self: Storage, key: str, path: Path) -> bool:
        if len(fetched) == 1:
            raise OSError("killed")
        fetched.append(key)
        return fetch(self, key, path)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "fetch", cut_off)
        with pytest.raises(OSError, match="killed"):
            unpacked(parcel, two, str)
    assert len(unpacked(parcel, two, str).open()) == 3


def test_a_generated_data_set_travels_as_it_is(machines: tuple[Mirror, Mirror]) -> None:
    spec = DatasetSpec("composites", {"count": 9})
    assert packed(spec, machines[0]) is spec
    assert CarriedFiles("ab", "name").key == "data/ab"
