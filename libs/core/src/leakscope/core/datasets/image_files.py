"""Image files of a folder, decoded alike: upright, RGB, shorter side scaled, centre cut out."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leakscope.core.datasets.base import Images
from leakscope.core.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
Fit = Literal["crop", "squash"]
_IN_MEMORY = 1 << 30  # bytes of decoded images; more are decoded to an unnamed temporary file
_DEEP_MODES = ("I", "F")  # 16-bit and floating-point pixels, which a conversion to RGB would clip


@dataclass(frozen=True)
class ImageFiles:
    """Decoded image files.

    Attributes:
        paths: the files, N of them.
        pixels: uint8 [N, side, side, 3].
        digests: SHA-256 (hex) of each image's pixels.
    """

    paths: tuple[Path, ...]
    pixels: Images
    digests: tuple[str, ...]


def list_images(root: Path) -> list[Path]:
    """All files under `root`, sorted by their path relative to it; names that begin with a dot are passed over.

    Raises:
        DataError: no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise DataError(f"No such folder of images: {root}.")
    found = [path for path in root.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(root))]
    if not found:
        raise DataError(f"{root} holds no images: it should hold PNG, JPEG, WebP or BMP files.")
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def decode_all(paths: Sequence[Path], side: int) -> ImageFiles:
    """Decode every file once, on all cores, so that a bad one is found before anything else is done.

    Raises:
        DataError: a file that is not an image or is broken, by name.
    """
    pixels = _room_for(len(paths), side)

    def decode(index: int) -> str:
        pixels[index] = decode_image(paths[index], str(paths[index]), side)
        return hashlib.sha256(pixels[index].tobytes()).hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = tuple(pool.map(decode, range(len(paths))))
    return ImageFiles(tuple(paths), pixels, digests)


def decode_image(source: Path | IO[bytes], where: str, side: int, fit: Fit = "crop") -> Images:
    """One image file as uint8 [side, side, 3].

    Turned upright by its EXIF orientation, converted to RGB (transparency dropped), scaled (bicubic, antialiased). The
    same file always gives the same pixels.

    Args:
        source: the file.
        where: the file in words, for an error message.
        side: height and width of the result, pixels.
        fit: "crop" scales the shorter side to `side` and cuts out the centre; "squash" scales each side to `side`.

    Raises:
        DataError: not a PNG, JPEG, WebP or BMP image, broken, or of a pixel format without a faithful RGB form.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.mode.startswith(_DEEP_MODES):
                raise DataError(f"{where} has more than 8 bits a channel: convert it to an 8-bit image, or remove it.")
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise DataError(f"{where} is not a PNG, JPEG, WebP or BMP image: remove it, or convert it.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is a broken image ({error}): replace or remove it.") from None
    if fit == "squash":
        return np.asarray(upright.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.BICUBIC))


def _room_for(count: int, side: int) -> Images:
    shape = (count, side, side, 3)
    size = count * side * side * 3
    if size <= _IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file alive
        file.truncate(size)
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
