"""The files of a .tar.gz, which can only be read from its start: inflated once, then read at random."""

import gzip
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from latentprint.core.datasets.members import Members, TarMembers
from latentprint.core.errors import DataError
from latentprint.core.files import writing

_CHUNK = 1 << 20  # bytes copied at once


@contextmanager
def opened_gzip(place: Path, room: Path) -> Iterator[Members]:
    """The files of a gzipped tar; hidden ones are passed over.

    Args:
        place: the archive.
        room: folder on a disk that has room for the files: they lie there, in one unnamed temporary file, until the
            block ends or the process does.

    Raises:
        DataError: a truncated, damaged or foreign archive, by name; no space or no permission in `room`.
    """
    with writing(room):
        room.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with writing(room):
            inflated = stack.enter_context(tempfile.TemporaryFile(dir=room))
        yield TarMembers(place, inflated.fileno(), _inflate(place, inflated, room))


def _inflate(place: Path, inflated: IO[bytes], room: Path) -> dict[str, tuple[int, int]]:
    """Where in `inflated` each file lies, (offset, size); the archive is read to its end, where its checksum is."""
    index = {}
    try:
        with gzip.open(place) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for name, content in _files(archive):
                start = inflated.tell()
                _copy(content, inflated, room)
                index[name] = start, inflated.tell() - start
            while stream.read(_CHUNK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{place} is truncated or not a .tar.gz archive ({error}): fetch it again.") from None
    with writing(room):
        inflated.flush()
    return index


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in archive:
        path = PurePosixPath(info.name)
        content = archive.extractfile(info) if info.isfile() else None
        if content is not None and not any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            yield path.as_posix(), content


def _copy(content: IO[bytes], inflated: IO[bytes], room: Path) -> None:
    while chunk := content.read(_CHUNK):
        with writing(room):
            inflated.write(chunk)
