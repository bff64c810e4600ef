"""Image files of a folder, decoded alike: upright, RGB, shorter side scaled, centre cut out."""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from latentprint.core.datasets.base import Images
from latentprint.core.datasets.found_files import FoundFiles, PassedOver, find_files
from latentprint.core.errors import DataError
from latentprint.core.samples import Size, height_width
from latentprint.core.text import printable

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
Fit = Literal["crop", "squash"]
_IN_MEMORY = 1 << 30  # bytes of decoded images; more are decoded to an unnamed temporary file
_DEEP_MODES = ("I", "F")  # 16-bit and floating-point pixels, which a conversion to RGB would clip
_NAMED = 3  # entries of a kind that a sentence names
_PATH_LENGTH = 1000
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageFiles:
    """Decoded image files.

    Attributes:
        paths: the files, N of them.
        pixels: uint8 [N, height, width, 3].
        digests: SHA-256 (hex) of each image's pixels.
    """

    paths: tuple[Path, ...]
    pixels: Images
    digests: tuple[str, ...]


class _State(NamedTuple):
    """A file, and what changes when its content does."""

    path: Path
    inode: int
    size: int
    modified: int
    changed: int


def list_images(root: Path) -> FoundFiles:
    """All files under `root`, as `find_files` finds them.

    Raises:
        DataError: no such folder, nothing in it, or a folder in it that cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"No such folder of images: {printable(root)}.")
    found = find_files(root)
    if not found.files:
        left_out = f" ({passed_over_words(found.passed_over)})" if found.passed_over else ""
        raise DataError(f"{printable(root)} holds no images{left_out}: it should hold PNG, JPEG, WebP or BMP files.")
    return found


def passed_over_words(entries: Sequence[PassedOver]) -> str:
    """What was left out of a folder, counted by reason, with the first names of each."""
    reasons = dict.fromkeys(entry.reason for entry in entries)
    return "; ".join(_one_reason(reason, [e.name for e in entries if e.reason == reason]) for reason in reasons)


def _one_reason(reason: str, names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    return f"{len(names)} {reason}: {shown}{', ...' if len(names) > _NAMED else ''}"


def decode_all(paths: Sequence[Path], size: Size) -> ImageFiles:
    """Decode every file once, on all cores, so that a bad one is found before anything else is done.

    The last files that were decoded are remembered, until one of them changes: a data set is opened more than once.

    Raises:
        DataError: a file that is not an image or is broken, by name.
    """
    return _decoded(tuple(_state(path) for path in paths), size)


@lru_cache(maxsize=1)
def _decoded(files: tuple[_State, ...], size: Size) -> ImageFiles:
    pixels = _room_for(len(files), size)

    def decode(index: int) -> str:
        path = files[index].path
        pixels[index] = decode_image(path, printable(path, _PATH_LENGTH), size)
        return hashlib.sha256(pixels[index].tobytes()).hexdigest()

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = tuple(pool.map(decode, range(len(files))))
    pixels.flags.writeable = False
    return ImageFiles(tuple(file.path for file in files), pixels, digests)


def _state(path: Path) -> _State:
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path, _PATH_LENGTH)} cannot be read ({error.strerror}): run it again.") from None
    return _State(path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def decode_image(source: Path | IO[bytes], where: str, size: Size, fit: Fit = "crop") -> Images:
    """One image file as uint8 [height, width, 3].

    Turned upright by its EXIF orientation (the only tag that is read: damage to others does not matter), converted to
    RGB (transparency dropped, colour profiles ignored), scaled (bicubic, antialiased). Of an animation, the first
    frame. The same file always gives the same pixels.

    Args:
        source: the file.
        where: the file in words, for an error message.
        size: of the result, pixels: the side of a square, or (height, width).
        fit: "crop" scales the image until it just covers the result and cuts out the centre; "squash" scales each side.

    Raises:
        DataError: not a PNG, JPEG, WebP or BMP image, broken, too large, or of a pixel format without a faithful RGB
            form.
    """
    with naming(where), Image.open(source, formats=FORMATS) as image:
        if image.mode.startswith(_DEEP_MODES):
            raise DataError(f"{where} has more than 8 bits a channel: convert it to an 8-bit image, or remove it.")
        image.load()
        turned = _UPRIGHT.get(_orientation(image))
        upright = (image if turned is None else image.transpose(turned)).convert("RGB")
        height, width = height_width(size)
        if fit == "squash":
            return np.asarray(upright.resize((width, height), Image.Resampling.BICUBIC))
        return np.asarray(ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # what a damaged block of tags raises has no common type; the pixels are whole
        return 1


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `DataError` that names the file."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{where} is not a PNG, JPEG, WebP or BMP image: remove it, or convert it.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{where} is too large ({printable(error)}): scale it down, or remove it.") from None
    except Exception as error:  # decoders of damaged files raise whatever their parsers meet
        cause = getattr(error, "strerror", None)
        if cause:
            raise DataError(f"{where} cannot be read ({cause}): allow it to be read, or remove it.") from None
        told = printable(error) or type(error).__name__
        raise DataError(f"{where} is a broken image ({told}): replace or remove it.") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Decode without the decoder's warnings, which name no file: of damaged tags, and of images larger than most."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _room_for(count: int, size: Size) -> Images:
    shape = (count, *height_width(size), 3)
    needed = prod(shape)
    if needed <= _IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file alive
        file.truncate(needed)
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
