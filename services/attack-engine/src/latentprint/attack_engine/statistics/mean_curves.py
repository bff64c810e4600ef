"""Mean curves of members and non-members, such as PartCrop's part response (Fig. 2 of the paper)."""

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.statistics.figures import Curves


def mean_curves(
    values: NDArray[np.floating], member: NDArray[np.bool_], title: str, x_label: str, y_label: str
) -> Curves:
    """Mean and standard error of each side of values [S, L], `member` (bool [S]) or not."""
    sides = {}
    for side, rows in (("members", values[member]), ("non_members", values[~member])):
        exact = rows.astype(np.float64)
        sides[side] = tuple(exact.mean(axis=0).tolist())
        sides[f"{side}_error"] = tuple((exact.std(axis=0, ddof=1) / np.sqrt(len(exact))).tolist())
    return Curves(title=title, x_label=x_label, y_label=y_label, **sides)
