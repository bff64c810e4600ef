"""What sets members' metric sequences apart, for figures (SeqMIA, CCS 2024, Figs. 1, 2, 8 and 14)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MetricCorrelations:
    """Of the sequences of two metrics.

    Attributes:
        mean: float64 [M, M], mean over samples of Pearson's correlation; NaN where no sample is left.
        left_out: int64 [M, M], samples left out because one of the two sequences is constant.
    """

    mean: Floats
    left_out: NDArray[np.int64]


def metric_correlations(sequence: NDArray[np.floating]) -> MetricCorrelations:
    """Pearson's correlation between the metrics' sequences, sample by sample over the steps, then averaged (Fig. 2).

    Args:
        sequence: [S, T, M].
    """
    values = sequence.astype(np.float64)
    varies = np.ptp(values, axis=1) > 0  # [S, M]
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.where(varies, np.sqrt(np.square(centred).sum(axis=1)), 1.0)
    unit = centred * (varies / length)[:, None]
    total = np.einsum("stm,stn->mn", unit, unit, optimize=True)
    kept = varies.T.astype(np.int64) @ varies.astype(np.int64)
    mean = np.divide(total, kept, out=np.full(total.shape, np.nan), where=kept > 0)
    return MetricCorrelations(mean, len(values) - kept)


def cumulative_fluctuation(sequence: NDArray[np.floating]) -> Floats:
    """Sum of |x_(t+1) - x_t| over the steps of one metric (of the loss: CLFA, Fig. 1): [S, T] to float64 [S]."""
    fluctuation: Floats = np.abs(np.diff(sequence.astype(np.float64), axis=1)).sum(axis=1)
    return fluctuation


def decline_rate(sequence: NDArray[np.floating], first: int, last: int) -> Floats:
    """Decline of one metric a step, (x_first - x_last) / (last - first): [S, T] to float64 [S] (Appendix B).

    Args:
        sequence: [S, T].
        first: step, counted from 0.
        last: later step.

    Raises:
        UsageError: not 0 <= first < last < T.
    """
    if not 0 <= first < last < sequence.shape[1]:
        raise UsageError(
            f"A decline needs steps 0 <= first < last < {sequence.shape[1]}, not first {first} and last {last}."
        )
    ends = sequence[:, [first, last]].astype(np.float64)
    rate: Floats = (ends[:, 0] - ends[:, 1]) / (last - first)
    return rate
