"""A data set in a file that memory maps: only the rows asked for are read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Ids, Images
from latentprint.core.datasets.checks import check_ids
from latentprint.core.datasets.found_files import PassedOver
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.errors import DataError

CARD = "card.json"
NAMES = "names.json"  # of the files that the samples were decoded from


@dataclass(frozen=True)
class MappedDataset:
    """Images on disk and labels in memory.

    Attributes:
        name: registered name.
        pixels: uint8 [N, H, W, 3], RGB, mapped.
        digests: uint8 [N, 32], the SHA-256 of each image's pixels.
        labels: label name to int64 [N].
        digest: SHA-256 (hex) of the images and labels.
        folder: where they lie.
        verified: bool [N], the images that were compared with their digests since the data set was opened.
        attributes: labels that are attributes, to the names of their values.
        passed_over: files that were left out when the others were decoded, and why.
    """

    name: str
    pixels: Images
    digests: NDArray[np.uint8]
    labels: Mapping[str, NDArray[np.int64]]
    digest: str
    folder: Path
    verified: NDArray[np.bool_]
    attributes: Mapping[str, tuple[str, ...]]
    passed_over: tuple[PassedOver, ...]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of every image."""
        return (*self.image_size, 3)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @cached_property
    def files(self) -> SampleFiles | None:
        """Which file each sample was decoded from; read when first asked for, since there may be a million."""
        try:
            names = json.loads((self.folder / NAMES).read_bytes())
        except (OSError, ValueError):
            return None
        return SampleFiles((), np.zeros(len(names), dtype=np.int64), tuple(names), (), ())

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, ids: Ids) -> Images:
        """The images of `ids` (int64 [B]) as uint8 [B, H, W, 3].

        Raises:
            UsageError: an id that the data set does not have.
            DataError: an image that was damaged on the disk since it was decoded; the next opening decodes anew.
        """
        check_ids(ids, len(self), self.name)
        images = np.array(self.pixels[ids])
        for row in np.flatnonzero(~self.verified[ids]):
            self._verify(int(ids[row]), images[row])
        return images

    def _verify(self, sample: int, image: Images) -> None:
        if hashlib.sha256(image.tobytes()).digest() != self.digests[sample].tobytes():
            (self.folder / CARD).unlink(missing_ok=True)
            raise DataError(
                f"Image {sample} in {self.folder} was damaged on the disk: run the same command again, and the "
                "images are decoded anew."
            )
        self.verified[sample] = True
