"""The samples that a victim is trained on: those that the split marks so, all of them, and no other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentprint.core.datasets.attributes import attribute
from latentprint.core.datasets.base import Dataset
from latentprint.core.errors import UsageError
from latentprint.core.splits import Split
from latentprint.trainer.streams import numpy_stream

CLASS, IDENTITY = "class", "identity"


@dataclass(frozen=True)
class TrainingSamples:
    """Training samples on the device.

    Attributes:
        images: uint8 [S, H, W, 3], or float32 vectors [S, F].
        labels: int64 [S], class, or the attribute that the recipe names.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)


def classes(dataset: Dataset) -> NDArray[np.int64]:
    """Class of each sample, int64 [N]; one for all where the data set knows none, for recipes that look at none."""
    return dataset.labels["class"] if "class" in dataset.labels else np.zeros(len(dataset), dtype=np.int64)


def identities(dataset: Dataset, split: Split) -> NDArray[np.int64]:
    """Who each training sample of `split` shows, int64 [S], from 0 up: its unit, or its class where there are no units.

    Raises:
        UsageError: all of them are one.
    """
    of_sample = classes(dataset)[split.trained_ids] if split.units is None else split.units.unit[split.trained]
    named, numbered = np.unique(of_sample, return_inverse=True)
    if len(named) < 2:
        raise UsageError(
            "This training learns to tell people apart, and the training samples are of one alone: draw a split by "
            "users (--trained-images), or sort your own images into a folder for each."
        )
    return numbered.astype(np.int64)


def learnt_labels(dataset: Dataset, split: Split, label: str) -> tuple[NDArray[np.int64], int]:
    """What a method learns from, of each training sample, int64 [S], and how many values it may have.

    Args:
        dataset: the data set.
        split: who is trained on.
        label: `CLASS`, `IDENTITY` (who a sample shows), or the name of an attribute.

    Raises:
        UsageError: no such attribute, or an attribute or identity that is the same for all samples.
    """
    if label == CLASS:
        of_all = classes(dataset)
        return of_all[split.trained_ids], int(of_all.max()) + 1
    if label == IDENTITY:
        shown = identities(dataset, split)
        return shown, int(shown.max()) + 1
    found = attribute(dataset, label)
    values = found.values[split.trained_ids]
    if len(np.unique(values)) < 2:
        raise UsageError(
            f"The attribute {label!r} is {found.classes[values[0]]!r} for all {len(values)} samples that are trained "
            "on, so there is nothing to unlearn: choose another attribute, or draw other samples."
        )
    return values, len(found.classes)


def load_members(dataset: Dataset, split: Split, device: torch.device, label: str = CLASS) -> TrainingSamples:
    """Put the training samples of `split` on `device`, with the `label` that is learnt from; no other sample is read.

    Raises:
        DataError: the split is of another data set.
        UsageError: fewer than two such samples, or a label that cannot be learnt from.
    """
    split.check(dataset)
    ids = split.trained_ids
    if len(ids) < 2:
        raise UsageError(f"Training needs at least two samples; the split marks {len(ids)} as trained on.")
    values, _ = learnt_labels(dataset, split, label)
    return TrainingSamples(torch.from_numpy(dataset.images(ids)).to(device), torch.from_numpy(values).to(device))


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


def identity_batches(labels: Tensor, batch_size: int, images_of_each: int, seed: int, epoch: int) -> list[Tensor]:
    """As many batches as `epoch_batches` has, each of `images_of_each` members of each of some labels (P x K sampling).

    Labels are drawn without repetition, and so are the members of one as long as it has as many.

    Args:
        labels: int64 [S], of the members.
        batch_size: members in a batch, at most: fewer where there are not as many labels.
        images_of_each: members of one label in a batch.
        seed: of the draws.
        epoch: whose batches.

    Source: Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, Sec. 2.
    """
    rng = numpy_stream(seed, "identities", epoch)
    of_label = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
    wanted = min(batch_size // images_of_each, len(of_label))

    def batch() -> Tensor:
        chosen = rng.choice(len(of_label), wanted, replace=False)
        rows = [rng.choice(of_label[i], images_of_each, replace=len(of_label[i]) < images_of_each) for i in chosen]
        return torch.from_numpy(np.concatenate(rows))

    return [batch() for _ in range(steps_per_epoch(len(labels), batch_size))]


def poisson_batches(members: int, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """As many batches as `epoch_batches` has; each takes each member independently with probability 1 / batches.

    A batch may be empty. This is the sampling that the accounting of differential privacy assumes.
    """
    steps = steps_per_epoch(members, batch_size)
    chosen = torch.from_numpy(numpy_stream(seed, "poisson", epoch).random((steps, members)) < 1 / steps)
    return [row.nonzero().flatten() for row in chosen]
