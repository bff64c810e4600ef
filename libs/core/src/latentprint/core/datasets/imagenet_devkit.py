"""The validation labels of ImageNet-1K, from the official development kit."""

import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from latentprint.core.errors import DataError

FOLDER = "ILSVRC2012_devkit_t12"
_META, _TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"


@dataclass(frozen=True)
class Devkit:
    """What the development kit says.

    Attributes:
        wnids: WordNet ids of the classes, sorted.
        validation: WordNet id of each validation image, in order of its number.
    """

    wnids: tuple[str, ...]
    validation: tuple[str, ...]


def read_devkit(place: Path) -> Devkit:
    """Read ILSVRC2012_devkit_t12.tar.gz or its extracted folder.

    Raises:
        DataError: a missing, truncated or foreign file, by name.
    """
    meta, truth = _contents(place)
    by_number = _synsets(meta, place)
    try:
        validation = tuple(by_number[int(line)] for line in truth.decode("ascii").split())
    except (ValueError, KeyError) as error:
        raise DataError(f"{_TRUTH} in {place} is damaged ({error!r}): fetch the development kit again.") from None
    return Devkit(tuple(sorted(by_number.values())), validation)


def _contents(place: Path) -> tuple[bytes, bytes]:
    """The table of synsets and the list of validation labels."""
    if place.is_dir():
        for name in (_META, _TRUTH):
            if not (place / name).is_file():
                raise DataError(f"{place} lacks {name}: extract the development kit again.")
        return (place / _META).read_bytes(), (place / _TRUTH).read_bytes()
    try:
        with tarfile.open(place) as archive:
            return _member(archive, _META, place), _member(archive, _TRUTH, place)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{place} is truncated or not an archive ({error}): fetch it again.") from None


def _member(archive: tarfile.TarFile, name: str, place: Path) -> bytes:
    try:
        stream = archive.extractfile(f"{FOLDER}/{name}")
    except KeyError:
        stream = None
    if stream is None:
        raise DataError(f"{place} lacks {name}: fetch the development kit again.")
    return stream.read()


def _synsets(meta: bytes, place: Path) -> dict[int, str]:
    """Number of each class, as the labels have it, to its WordNet id; synsets with children are no classes."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        table = loadmat(io.BytesIO(meta), squeeze_me=True, struct_as_record=True)["synsets"]
        rows = zip(table["ILSVRC2012_ID"], table["WNID"], table["num_children"], strict=True)
        return {int(number): str(wnid) for number, wnid, children in rows if int(children) == 0}
    except (MatReadError, ValueError, KeyError, TypeError, IndexError, NotImplementedError, OSError) as error:
        raise DataError(f"{_META} in {place} is damaged ({error!r}): fetch the development kit again.") from None
