"""`digits`: scikit-learn's 1,797 handwritten digits."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import array_dataset
from latentprint.core.datasets.base import DATASETS, Dataset, Images
from latentprint.core.datasets.checks import check_side
from latentprint.core.errors import DataError

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
    """Open `digits`.

    Raises:
        UsageError: a wrong option.
        DataError: scikit-learn's file is not there.
    """
    given = from_mapping(DigitsOptions, options, "data set 'digits'")
    side = check_side(given.side, "digits")
    rows = np.loadtxt(_file(), delimiter=",")
    grey = np.stack([_scaled(levels.reshape(8, 8), side) for levels in rows[:, :-1]])
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    return array_dataset("digits", pixels, {"class": rows[:, -1].astype(np.int64)})


def _file() -> Path:
    """Where scikit-learn has them; importing it would take longer than reading them."""
    package = find_spec("sklearn")
    file = Path(str(package and package.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        raise DataError("The digits come with scikit-learn, which is not here as it should be: install it again.")
    return file


def _scaled(image: Images, side: int) -> Images:
    """One 8x8 image of levels 0 .. 16 as uint8 [side, side], rounded once."""
    levels = Image.fromarray((image * (255 / _LARGEST)).astype(np.float32))
    resized = np.asarray(levels.resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(np.clip(np.rint(resized), 0, 255), dtype=np.uint8)
