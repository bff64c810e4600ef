"""Metric sequences: what every snapshot of a distillation, and then the model itself, says of each sample."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.disagreement import Disagreement
from latentprint.attack_engine.evidence.posterior_metrics import posterior_metrics
from latentprint.attack_engine.models.stacked_snapshots import StackedSnapshots
from latentprint.core.datasets import Dataset, Ids

Sequence = NDArray[np.float32]
_READ = 1024


def posterior_sequence(
    snapshots: StackedSnapshots, dataset: Dataset, ids: Ids, posterior: NDArray[np.float32]
) -> Sequence:
    """The five metrics of every snapshot in order and, last, of the model itself (SeqMIA, Sec. 3.3).

    Args:
        snapshots: T of them, answering logits.
        dataset: with the label "class".
        ids: int64 [S].
        posterior: float32 [S, C], the model's own answers.

    Returns:
        float32 [S, T + 1, 5], in the order of `METRICS`.
    """
    label = dataset.labels["class"][ids]
    own = posterior_metrics(posterior, label)[:, None]
    parts = [
        posterior_metrics(torch.softmax(answer.double(), dim=-1).cpu().numpy(), label[rows])
        for rows, answer in answers_in_chunks(snapshots, dataset, ids)
    ]
    sequence = np.concatenate(parts, axis=1).swapaxes(0, 1)  # [S, T, 5]
    return np.concatenate([sequence, own], axis=1).astype(np.float32)


def disagreement_sequence(
    snapshots: StackedSnapshots, dataset: Dataset, ids: Ids, answers: NDArray[np.float32], measure: Disagreement
) -> Sequence:
    """How far every snapshot is from the model on each sample, for endpoints without posteriors.

    Args:
        snapshots: T of them, answering what was distilled.
        dataset: where the samples come from.
        ids: int64 [S].
        answers: float32 [S, ...], the model's own.
        measure: what is measured.

    Returns:
        float32 [S, T, M], in the order of `measure.metrics`.
    """
    parts = [
        measure(answer.double().cpu().numpy(), answers[rows])
        for rows, answer in answers_in_chunks(snapshots, dataset, ids)
    ]
    return np.concatenate(parts, axis=1).swapaxes(0, 1).astype(np.float32)


def answers_in_chunks(snapshots: StackedSnapshots, dataset: Dataset, ids: Ids) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows of `ids` with all snapshots' answers to them, [T, b, ...], reading few samples at a time."""
    place = 0
    for start in range(0, len(ids), _READ):
        samples = torch.from_numpy(np.ascontiguousarray(dataset.images(ids[start : start + _READ])))
        for answer in snapshots.answers(samples):
            yield slice(place, place + answer.shape[1]), answer
            place += answer.shape[1]
