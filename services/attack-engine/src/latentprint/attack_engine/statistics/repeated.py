"""One attack over repeated seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Repeated:
    """One metric over repeated seeds; `deviation` is the sample standard deviation, None for a single seed."""

    values: tuple[float, ...]
    mean: float
    deviation: float | None


def over_seeds(values: Sequence[float]) -> Repeated:
    """Mean and deviation of one metric, a value for each seed.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no seeds to average over")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Repeated(tuple(values), float(np.mean(values)), deviation)
