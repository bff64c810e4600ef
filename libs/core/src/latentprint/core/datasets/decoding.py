"""Images decoded into a file that memory can map, a chunk at a time, so that a build can stop anywhere and go on."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from latentprint.core.datasets.base import Images
from latentprint.core.datasets.found_files import PassedOver
from latentprint.core.datasets.image_files import Fit, decode_image, quietly
from latentprint.core.datasets.members import Members
from latentprint.core.errors import DataError
from latentprint.core.files import writing
from latentprint.core.samples import Size, height_width
from latentprint.core.text import printable

PIXELS, DIGESTS = "pixels.npy", "digests.npy"
DIGEST_BYTES = 32
_CHUNK = 1 << 24  # bytes of decoded images held at once
_MARGIN = 1 << 24  # bytes left free on the disk


@dataclass(frozen=True)
class Listing:
    """What is to be decoded, in order of sample ids.

    Attributes:
        files: where each image lies, and its name there.
        labels: label name to int64 [len(files)].
        attributes: labels that are attributes, to the names of their values.
        passed_over: files that are no samples, and why.
    """

    files: Sequence[tuple[Members, str]]
    labels: Mapping[str, NDArray[np.int64]]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(frozen=True)
class Shape:
    """What every image becomes: its size in pixels, and whether it is cut out or squashed."""

    size: Size
    fit: Fit

    @property
    def bytes_per_image(self) -> int:
        """Of one decoded image."""
        return 3 * prod(height_width(self.size))


def decode_to(folder: Path, listing: Listing, shape: Shape, name: str) -> None:
    """Decode every image of `listing` into `folder`, going on after what an earlier call left there.

    Writes pixels.npy, uint8 [N, height, width, 3], and digests.npy, uint8 [N, 32], the SHA-256 of each image's pixels.
    Memory holds one chunk of images, whatever N is.

    Raises:
        DataError: an image that is missing, broken or no image, by name and archive; too little space on the disk.
    """
    count = len(listing.files)
    sizes = (count, *height_width(shape.size), 3), (count, DIGEST_BYTES)
    with (
        writing(folder),
        _appending(folder / PIXELS, sizes[0]) as pixels,
        _appending(folder / DIGESTS, sizes[1]) as digests,
    ):
        done = _intact(pixels, digests, shape.bytes_per_image)
        _check_space(folder, (count - done) * (shape.bytes_per_image + DIGEST_BYTES))
        with quietly(), _showing(name, count, done) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
            for chunk in _chunks(done, count, shape.bytes_per_image):
                images = list(pool.map(lambda file: _decoded(file, shape), listing.files[chunk]))
                pixels.write(b"".join(images))
                digests.write(b"".join(pool.map(_sha256, images)))
                advance(len(images))


def _decoded(file: tuple[Members, str], shape: Shape) -> bytes:
    members, name = file
    try:
        content = members.read(name)
    except KeyError:
        raise DataError(f"{members.place} lacks {name}: fetch or extract it again.") from None
    image: Images = decode_image(io.BytesIO(content), members.where(name), shape.size, shape.fit)
    return image.tobytes()


@contextmanager
def _appending(path: Path, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """The .npy file of a uint8 array of `shape`, its header written, placed at the array's first byte."""
    with path.open("r+b" if path.exists() else "w+b") as stream:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        if stream.read(len(header.getvalue())) != header.getvalue():
            stream.seek(0)
            stream.truncate()
            stream.write(header.getvalue())
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _intact(pixels: IO[bytes], digests: IO[bytes], size: int) -> int:
    """How many images lie there whole; what comes after them is cut off, and both files stand behind them."""
    starts, done = (pixels.tell(), digests.tell()), 0
    while True:
        image, digest = pixels.read(size), digests.read(DIGEST_BYTES)
        if len(image) < size or _sha256(image) != digest:
            break
        done += 1
    for stream, start, width in zip((pixels, digests), starts, (size, DIGEST_BYTES), strict=True):
        stream.seek(start + done * width)
        stream.truncate()
    return done


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _MARGIN > free:
        raise DataError(
            f"{folder.parent} has {free / 1e9:.1f} GB free, and the decoded images need {needed / 1e9:.1f} GB: free "
            "some space, or name a folder on a larger disk with the option cache or in LATENTPRINT_CACHE."
        )


@contextmanager
def _showing(name: str, count: int, done: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(escape(printable(f"decoding {name}, once")), total=count, completed=done)
        yield lambda images: bars.advance(task, images)


def _chunks(start: int, count: int, size: int) -> Iterator[slice]:
    step = max(1, _CHUNK // size)
    return (slice(first, min(first + step, count)) for first in range(start, count, step))


def _sha256(image: bytes) -> bytes:
    return hashlib.sha256(image).digest()
