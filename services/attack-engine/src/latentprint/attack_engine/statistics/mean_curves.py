"""Mean curves of members and non-members, such as PartCrop's part response (Fig. 2 of the paper)."""

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.statistics.figures import Curves


def mean_curves(
    values: NDArray[np.floating], member: NDArray[np.bool_], title: str, x_label: str, y_label: str
) -> Curves:
    """Mean and standard error of each side of values [S, L], `member` (bool [S]) or not."""
    inside, outside = (_mean_and_error(rows.astype(np.float64)) for rows in (values[member], values[~member]))
    return Curves(title, x_label, y_label, *inside, *outside)


def _mean_and_error(rows: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean curve and standard errors, each float [L], of one side's rows [S, L]."""
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    return tuple(rows.mean(axis=0).tolist()), tuple(error.tolist())
