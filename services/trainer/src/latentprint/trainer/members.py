"""The samples that a victim is trained on: those that the split marks so, all of them, and no other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentprint.core.datasets.base import Dataset
from latentprint.core.errors import UsageError
from latentprint.core.splits import Split
from latentprint.trainer.streams import numpy_stream


@dataclass(frozen=True)
class TrainingSamples:
    """Training samples on the device.

    Attributes:
        images: uint8 [S, H, W, 3], or float32 vectors [S, F].
        labels: int64 [S], class.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)


def classes(dataset: Dataset) -> NDArray[np.int64]:
    """Class of each sample, int64 [N]; one for all where the data set knows none, for recipes that look at none."""
    return dataset.labels["class"] if "class" in dataset.labels else np.zeros(len(dataset), dtype=np.int64)


def load_members(dataset: Dataset, split: Split, device: torch.device) -> TrainingSamples:
    """Put the training samples of `split` on `device`; no other sample is read.

    Raises:
        DataError: the split is of another data set.
        UsageError: fewer than two such samples.
    """
    split.check(dataset)
    ids = split.trained_ids
    if len(ids) < 2:
        raise UsageError(f"Training needs at least two samples; the split marks {len(ids)} as trained on.")
    images = torch.from_numpy(dataset.images(ids)).to(device)
    labels = torch.from_numpy(classes(dataset)[ids]).to(device)
    return TrainingSamples(images, labels)


def load_validation(dataset: Dataset, split: Split, device: torch.device) -> TrainingSamples:
    """Put the owner's validation samples of `split` on `device`; they are neither members nor evaluated.

    Raises:
        DataError: the split is of another data set.
        UsageError: it has no validation samples.
    """
    split.check(dataset)
    ids = split.validation
    if not len(ids):
        raise UsageError(
            "This training learns from the owner's validation samples too, and the split has none: draw it with some."
        )
    return TrainingSamples(
        torch.from_numpy(dataset.images(ids)).to(device), torch.from_numpy(classes(dataset)[ids]).to(device)
    )


def steps_per_epoch(members: int, batch_size: int) -> int:
    """Batches that cover all members with at most `batch_size` each."""
    return -(-members // batch_size)


def epoch_batches(members: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Every member once, in an order of this epoch's own, in batches whose sizes differ by at most one."""
    order = torch.from_numpy(numpy_stream(seed, "order", epoch).permutation(members))
    return list(order.tensor_split(steps_per_epoch(members, batch_size)))


def poisson_batches(members: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """As many batches as `epoch_batches` has; each takes each member independently with probability 1 / batches.

    A batch may be empty. This is the sampling that the accounting of differential privacy assumes.
    """
    steps = steps_per_epoch(members, batch_size)
    chosen = torch.from_numpy(numpy_stream(seed, "poisson", epoch).random((steps, members)) < 1 / steps)
    return [row.nonzero().flatten() for row in chosen]
