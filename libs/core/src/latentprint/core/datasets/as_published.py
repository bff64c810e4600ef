"""`as-published`: a data set some of whose samples are cropped and flipped, as PartCrop's public code treats members.

A control experiment only: who can tell the two treatments apart needs no memorisation to tell members from others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset, DatasetSpec, Ids, Images
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.digests import digest_json
from latentprint.core.errors import UsageError
from latentprint.core.samples import is_vector

NAME = "as-published"


@dataclass(frozen=True)
class AsPublishedOptions:
    """Options of `as-published`.

    Attributes:
        of: the data set.
        treated: ids of the samples that are cropped and flipped.
        seed: of the crops and flips.
    """

    of: DatasetSpec
    treated: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class AsPublished:
    """Images, the `treated` ones randomly cropped (area fraction from 0.2) and flipped, the others as they are."""

    of: Dataset
    treated: Ids
    seed: int
    digest: str
    name: str = field(default=NAME)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of every image."""
        return self.of.sample_shape

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels."""
        return self.of.image_size

    @property
    def labels(self) -> Mapping[str, NDArray[np.int64]]:
        """The underlying data set's labels."""
        return self.of.labels

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """The underlying data set's."""
        return self.of.attributes

    @property
    def files(self) -> SampleFiles | None:
        """The underlying data set's."""
        return self.of.files

    def __len__(self) -> int:
        return len(self.of)

    def images(self, ids: Ids) -> Images:
        """The images of `ids` (int64 [B]) as uint8 [B, H, W, 3]; a sample's crop is its own, whatever the batch."""
        import torch

        from latentprint.core.views.augmentations import MAE, views_for_samples

        images = self.of.images(ids).copy()
        rows = np.flatnonzero(np.isin(ids, self.treated))
        if len(rows):
            views = views_for_samples(torch.from_numpy(images[rows]), ids[rows], MAE, views=1, seed=self.seed)
            images[rows] = views[:, 0].numpy()
        return images


@DATASETS.register(
    NAME,
    summary="control experiment: some samples cropped and flipped, the others not",
    source="PartCrop (CCS 2024), public code",
    needs={"options": "of (a data set), treated (sample ids), seed", "files": "none"},
)
def as_published(options: Mapping[str, Any]) -> Dataset:
    """Open `as-published`.

    Raises:
        UsageError: a wrong option, an id that is no sample, or vectors.
    """
    given = from_mapping(AsPublishedOptions, options, f"data set {NAME!r}")
    of, treated = given.of.open(), np.array(given.treated, dtype=np.int64)
    if is_vector(of.sample_shape):
        raise UsageError(f"The data set {NAME!r} crops and flips images; {of.name!r} holds vectors, not images.")
    if len(treated) and not 0 <= treated.min() <= treated.max() < len(of):
        raise UsageError(f"The data set {NAME!r}: treated must hold sample ids from 0 to {len(of) - 1}.")
    made = {"treatment": NAME, "of": of.digest, "treated": list(given.treated), "seed": given.seed}
    digest = digest_json({**made, "code": code_digest(as_published)})  # the images are drawn when asked for
    return AsPublished(of, treated, given.seed, digest)
