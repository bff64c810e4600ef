"""`digits`: scikit-learn's 1,797 handwritten digits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import array_dataset
from latentprint.core.datasets.base import DATASETS, Dataset, Images
from latentprint.core.datasets.checks import check_side

_LARGEST = 16  # the source's grey levels run from 0 to 16


@dataclass(frozen=True)
class DigitsOptions:
    """Options of `digits`.

    Attributes:
        side: height and width, pixels; the source's 8x8 images are scaled to it (bicubic).
    """

    side: int = 32


@DATASETS.register(
    "digits",
    summary="1,797 handwritten digits, 8x8 grey scaled to side x side; labels: class (10)",
    source="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as shipped with scikit-learn",
    needs={"options": "side (default 32)", "files": "none"},
)
def digits(options: Mapping[str, Any]) -> Dataset:
    """Open `digits`. Raises `UsageError` for a wrong option."""
    given = from_mapping(DigitsOptions, options, "data set 'digits'")
    side = check_side(given.side, "digits")
    from sklearn.datasets import load_digits  # takes a second to import, which other data sets need not wait for

    source = load_digits()
    grey = np.stack([_scaled(image, side) for image in source.images])
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    return array_dataset("digits", pixels, {"class": source.target.astype(np.int64)})


def _scaled(image: Images, side: int) -> Images:
    """One 8x8 image of levels 0 .. 16 as uint8 [side, side], rounded once."""
    levels = Image.fromarray((image * (255 / _LARGEST)).astype(np.float32))
    resized = np.asarray(levels.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(np.clip(np.rint(resized), 0, 255), dtype=np.uint8)
