"""Ablations of metric sequences: their order, their metrics, their length."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError, unknown_name

Real = TypeVar("Real", bound=np.floating)


def shuffled_steps(sequence: NDArray[Real], seed: int) -> NDArray[Real]:
    """Sequences [S, T, M] with their steps in another order, the same for all samples and metrics.

    The same seed gives sequences of the same length the same order: a shadow's and a target's alike.
    """
    return sequence[:, np.random.default_rng(seed).permutation(sequence.shape[1])]


def chosen_metrics(sequence: NDArray[Real], metrics: Sequence[str], chosen: Sequence[str]) -> NDArray[Real]:
    """The metrics named in `chosen`, in that order: [S, T, M] to [S, T, len(chosen)].

    Args:
        sequence: [S, T, M].
        metrics: the M names.
        chosen: names, each once.

    Raises:
        UsageError: none is named, one is unknown, or one is named twice.
    """
    for name in chosen:
        if name not in metrics:
            raise unknown_name("metric", name, metrics)
    if not chosen or len(set(chosen)) < len(chosen):
        raise UsageError(f"Name at least one metric, each once, not {list(chosen)}.")
    return sequence[..., [list(metrics).index(name) for name in chosen]]


def first_snapshots(sequence: NDArray[Real], snapshots: int) -> NDArray[Real]:
    """The first snapshots and, last, the original model: [S, T, M] to [S, snapshots + 1, M].

    Raises:
        UsageError: there are fewer than that, or `snapshots` is below 1.
    """
    most = sequence.shape[1] - 1
    if not 1 <= snapshots <= most:
        raise UsageError(f"snapshots must lie between 1 and {most}, which the sequences have, not {snapshots}.")
    return np.concatenate([sequence[:, :snapshots], sequence[:, -1:]], axis=1)
