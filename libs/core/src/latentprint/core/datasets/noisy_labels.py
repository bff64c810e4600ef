"""`noisy-labels`: a data set some of whose classes are wrong, so that whoever learns them has memorised samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.base import DATASETS, Dataset, DatasetSpec, Ids, Samples
from latentprint.core.datasets.checks import check_share
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import UsageError
from latentprint.core.views.streams import uniforms

NAME = "noisy-labels"


@dataclass(frozen=True)
class NoisyLabelsOptions:
    """Options of `noisy-labels`.

    Attributes:
        of: the data set.
        fraction: share of the samples, 0 to 1, that get another class; a larger one adds samples and leaves those of a
            smaller one as they are.
        seed: of the samples chosen and their classes.
    """

    of: DatasetSpec
    fraction: float
    seed: int = 0


@dataclass(frozen=True)
class NoisyLabels:
    """The samples of a data set, with `labels` in place of its own."""

    of: Dataset
    labels: Mapping[str, NDArray[np.int64]]
    digest: str
    name: str = field(default=NAME)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of every image, or (features,) of every vector."""
        return self.of.sample_shape

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image, pixels. Raises `UsageError` for a data set of vectors."""
        return self.of.image_size

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

    def images(self, ids: Ids) -> Samples:
        """The samples of `ids` (int64 [B]) as the data set has them."""
        return self.of.images(ids)


@DATASETS.register(
    NAME,
    summary="another data set with the class of some samples replaced by another one, uniformly; its labels",
    source="Zhang et al., Understanding deep learning requires rethinking generalization, ICLR 2017",
    needs={"options": "of (a data set), fraction (0 to 1), seed (0)", "files": "none"},
)
def noisy_labels(options: Mapping[str, Any]) -> Dataset:
    """Open `noisy-labels`: round(fraction * N) samples, drawn without replacement, get one of the other classes.

    Labels: those of the data set; only `class` is changed. The classes are those that occur in it.

    Raises:
        UsageError: a wrong option, or a data set of a single class.
    """
    given = from_mapping(NoisyLabelsOptions, options, f"data set {NAME!r}")
    check_share(given.fraction, "fraction", NAME)
    of = given.of.open()
    labels = {**of.labels, "class": _noisy(of.labels["class"], given)}
    digest = digest_json({"noise": NAME, "of": of.digest, "labels": digest_arrays(**labels)})
    return NoisyLabels(of, labels, digest)


def _noisy(clean: NDArray[np.int64], options: NoisyLabelsOptions) -> NDArray[np.int64]:
    """`clean` (int64 [N]) with the classes of the samples of the smallest draws replaced."""
    names, classes = np.unique(clean, return_inverse=True)
    if len(names) < 2:
        raise UsageError(f"data set {NAME!r}: {options.of.name!r} has a single class, so there is none to confuse.")
    draws = uniforms(np.arange(len(clean)), options.seed, (2,), purpose=NAME)  # [N, 2]: chosen or not, and the class
    chosen = np.argsort(draws[:, 0], kind="stable")[: round(options.fraction * len(clean))]
    steps = 1 + np.floor(draws[chosen, 1] * (len(names) - 1)).astype(np.int64)
    noisy = clean.copy()
    noisy[chosen] = names[(classes[chosen] + steps) % len(names)]
    return noisy
