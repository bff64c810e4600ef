"""How large image files are, from their headers alone."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentprint.core.datasets.image_files import FORMATS, naming, quietly
from latentprint.core.text import printable


def shorter_sides(paths: Sequence[Path]) -> NDArray[np.int64]:
    """The shorter side of each image file, int64 [N], pixels.

    Raises:
        DataError: a file that is not an image or is broken, by name.
    """

    def shorter(path: Path) -> int:
        with naming(printable(path)), Image.open(path, formats=FORMATS) as image:
            return min(image.size)

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.fromiter(pool.map(shorter, paths), np.int64, len(paths))
