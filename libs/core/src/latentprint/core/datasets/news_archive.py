"""Reading of the official archive of the 20 newsgroups by date."""

import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import DataError

ARCHIVE = "20news-bydate.tar.gz"
FOLDERS = ("20news-bydate-train", "20news-bydate-test")


def read_documents(place: Path) -> tuple[list[str], NDArray[np.int64]]:
    """All postings: training, then test, each by newsgroup and number.

    Args:
        place: the archive, or the folder that holds its two extracted folders.

    Returns:
        Texts (Latin-1) and the index of each one's newsgroup among all, sorted; int64 [N].

    Raises:
        DataError: a truncated or foreign archive, a folder that is missing or empty.
    """
    found = _of_folders(place) if place.is_dir() else _of_archive(place)
    rows = sorted(found, key=lambda name: (FOLDERS.index(name[0]), name[1], name[2].zfill(16)))
    for folder in FOLDERS:
        if not any(name[0] == folder for name in rows):
            raise DataError(f"{place} lacks the postings of {folder}: fetch or extract {ARCHIVE} again.")
    index = {group: i for i, group in enumerate(sorted({name[1] for name in rows}))}
    texts = [found[name].decode("latin1") for name in rows]
    return texts, np.array([index[name[1]] for name in rows], dtype=np.int64)


_Found = dict[tuple[str, str, str], bytes]  # by folder, newsgroup and number


def _of_folders(place: Path) -> _Found:
    found = {}
    for folder in FOLDERS:
        for path in (place / folder).glob("*/*"):
            if path.is_file() and not path.name.startswith("."):
                found[folder, path.parent.name, path.name] = path.read_bytes()
    return found


def _of_archive(place: Path) -> _Found:
    found = {}
    try:
        with tarfile.open(place) as archive:
            for info in archive:
                parts = PurePosixPath(info.name).parts[-3:]
                stream = archive.extractfile(info) if info.isfile() else None
                if stream is not None and len(parts) == 3 and parts[0] in FOLDERS:
                    found[parts[0], parts[1], parts[2]] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{place} is truncated or not {ARCHIVE} ({error}): fetch it again.") from None
    return found
