"""What sets members' metric sequences apart, as plain results (SeqMIA, CCS 2024, Figs. 1, 2, 9, 13 and 14)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.sequence_analyses import (
    cumulative_fluctuation,
    decline_rate,
    metric_correlations,
)
from latentprint.attack_engine.statistics.figures import Correlations, Figure, NamedHistogram
from latentprint.attack_engine.statistics.mean_curves import mean_curves
from latentprint.attack_engine.statistics.roc import score_histogram

_STEP = "step (the last is the model itself)"
_SNAPSHOT = "snapshot"
_DECLINING = ("loss", "entropy")
_CORRELATED = (
    "Pearson’s correlation over the steps, sample by sample, then the mean; samples whose sequence does not vary are "
    "left out."
)
_CHANGED = "Of the evaluated samples, over the snapshots alone. The largest 1 % of values lie in the last bin."
_SHOWN = 0.99  # larger values lie in the last bin: one far sample would leave all others in the first

Sequence = NDArray[np.float32]
Membership = NDArray[np.bool_]


def sequence_figures(
    sequence: Sequence, names: tuple[str, ...], member: Membership, *, ends_with_model: bool
) -> tuple[Figure, ...]:
    """Mean sequence of each metric, correlations between them, and histograms of fluctuation and decline.

    Fluctuation and decline are taken over the snapshots alone: the step from the last of them to the model itself is
    no step of training.

    Args:
        sequence: float32 [S, T, M].
        names: of the M metrics.
        member: bool [S].
        ends_with_model: whether the last step is the model's own answer, and no snapshot's.
    """
    step = _STEP if ends_with_model else _SNAPSHOT
    curves = [
        mean_curves(sequence[..., place], member, f"Sequence of {name}", step, f"mean {name}")
        for place, name in enumerate(names)
    ]
    correlations = Correlations(
        "Correlation between metric sequences",
        names,
        _correlated(sequence[member]),
        _correlated(sequence[~member]),
        _CORRELATED,
    )
    snapshots = sequence[:, :-1] if ends_with_model else sequence
    return (*curves, correlations, *_histograms(snapshots, names, member))


def _correlated(sequence: Sequence) -> tuple[tuple[float | None, ...], ...]:
    mean = metric_correlations(sequence).mean
    return tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in mean)


def _histograms(snapshots: Sequence, names: tuple[str, ...], member: Membership) -> Iterator[NamedHistogram]:
    steps = snapshots.shape[1]
    if steps < 2:
        return
    for place, name in enumerate(names):
        total = cumulative_fluctuation(snapshots[..., place])
        yield _histogram(f"Fluctuation of {name}", f"sum of |change of {name}| over the snapshots", total, member)
    for name in _DECLINING:
        if name in names:
            rate = decline_rate(snapshots[..., names.index(name)], 0, steps - 1)
            yield _histogram(f"Decline of {name}", f"decline of {name} a snapshot", rate, member)


def _histogram(title: str, x_label: str, values: NDArray[np.float64], member: Membership) -> NamedHistogram:
    held = np.minimum(values, np.quantile(values, _SHOWN))
    return NamedHistogram(title, x_label, score_histogram(held[member], held[~member]), _CHANGED)
