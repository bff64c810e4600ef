"""The files that a data set is read from, brought to the storage once, and from there to every machine once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.fingerprints import fingerprint
from latentprint.core.datasets.found_files import find_files
from latentprint.core.files import locked
from latentprint.core.mirror import Mirror, for_all
from latentprint.core.storage import Storage

_OPTIONS = ("path", "paths")  # of data sets that are read from files
_CACHE = "cache"  # of decoded images: every machine has its own
_DATA = "data"  # where they are in the storage, and below a machine's folder
_WHOLE = "whole"


@dataclass(frozen=True)
class CarriedFiles:
    """An archive or a folder of files, by its fingerprint and name."""

    digest: str
    name: str

    @property
    def key(self) -> str:
        """Below which its files are in the storage."""
        return f"{_DATA}/{self.digest}"

    def at(self, root: Path, storage: Storage) -> Path:
        """Where they lie on this machine; brought here by the first that needs them, while others wait."""
        folder = root / self.key
        whole = folder / _WHOLE
        if not whole.exists():
            with locked(folder.with_name(f"{folder.name}.lock")):
                if not whole.exists():
                    names = [name for name in storage.listed(self.key) if name != f"{self.key}/{_WHOLE}"]
                    for_all(lambda name: storage.fetch(name, root / name), names)
                    folder.mkdir(parents=True, exist_ok=True)
                    whole.touch()
        return folder / "files" / self.name


@dataclass(frozen=True)
class CarriedData:
    """A data set whose options name files that are in the storage; in `options`, `CarriedFiles` stand for them."""

    name: str
    options: Mapping[str, Any]

    def at(self, root: Path, storage: Storage) -> DatasetSpec:
        """The data set as this machine opens it."""
        return DatasetSpec(self.name, _replaced(self.options, lambda files: str(files.at(root, storage))))


def carried(spec: DatasetSpec, mirror: Mirror) -> CarriedData | None:
    """A data set for other machines, its files brought to the storage where they are not there yet.

    Returns:
        None where it is read from no file of this machine.

    Raises:
        DataError: the storage cannot be written to.
    """
    found = _found(spec.options, mirror)
    return None if found == dict(spec.options) else CarriedData(spec.name, found)


def _found(options: Mapping[str, Any], mirror: Mirror) -> dict[str, Any]:
    """The options, at any depth, with files in place of their paths."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if name == _CACHE:
            continue
        if isinstance(value, Mapping):
            found[name] = _found(value, mirror)
        elif name in _OPTIONS and isinstance(value, str | Path):
            found[name] = _brought(value, mirror)
        elif name in _OPTIONS and isinstance(value, list | tuple):
            found[name] = tuple(_brought(one, mirror) for one in value)
        else:
            found[name] = value
    return found


def _replaced(options: Any, files: Any) -> Any:
    if isinstance(options, CarriedFiles):
        return files(options)
    if isinstance(options, Mapping):
        return {name: _replaced(value, files) for name, value in options.items()}
    return tuple(_replaced(value, files) for value in options) if isinstance(options, tuple) else options


def _brought(path: str | Path, mirror: Mirror) -> Any:
    place = Path(path).expanduser()
    arrived = mirror.root / _DATA
    if place.is_relative_to(arrived):  # it was carried here, and goes on from here
        digest, _, *name = place.relative_to(arrived).parts
        return CarriedFiles(digest, str(Path(*name)))
    return _kept(str(place.absolute()), mirror.storage) if place.exists() else path


@lru_cache(maxsize=64)
def _kept(path: str, storage: Storage) -> CarriedFiles:
    """The files at a path in the storage; each process looks once."""
    place = Path(path)
    files = CarriedFiles(fingerprint(place)[:32], place.name)
    if storage.find(f"{files.key}/{_WHOLE}") is None:
        below = _files(place)
        for_all(lambda name: storage.keep(below[name], f"{files.key}/files/{name}"), below)
        storage.write(f"{files.key}/{_WHOLE}", b"")
    return files


def _files(place: Path) -> dict[str, Path]:
    """What is read at a path, by its name below the folder that the path lies in; what links lead to goes as a file."""
    if not place.is_dir():
        return {place.name: place}
    return {f"{place.name}/{path.relative_to(place).as_posix()}": path for path in find_files(place).files}
