"""Two attacks on the same samples, and one attack over repeated seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from leakscope.attack_engine.evaluation.auc import auc
from leakscope.attack_engine.evaluation.bootstrap import percentile_interval, resampled_auc, resampled_counts
from leakscope.attack_engine.evaluation.results import Estimate
from leakscope.attack_engine.evaluation.scores import Scores
from leakscope.core.errors import DataError

PAIRED = "paired stratified bootstrap"
Sides = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True)
class Repeated:
    """One metric over repeated seeds; `deviation` is the sample standard deviation, None for a single seed."""

    values: tuple[float, ...]
    mean: float
    deviation: float | None


def auc_difference(
    first: Sides, second: Sides, *, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Estimate:
    """AUC of `first` less AUC of `second` on the same samples.

    Each is (member scores [M], non-member scores [N]), in one order of samples for both. Both are resampled together,
    so that what the samples have in common cancels. Where neither attack errs at all the interval has no width: there
    is nothing to tell them apart by.

    Raises:
        DataError: the two attacks' samples differ in number, or a score is not finite.
    """
    (members, non_members), (others, non_others) = _arrays(first), _arrays(second)
    if (members.size, non_members.size) != (others.size, non_others.size):
        raise DataError(
            f"Two attacks can be compared on the same samples only: one scored {members.size} members and "
            f"{non_members.size} non-members, the other {others.size} and {non_others.size}."
        )
    value = auc(members, non_members) - auc(others, non_others)
    counts = resampled_counts(members.size, non_members.size, rng=rng, resamples=resamples)
    differences = [
        resampled_auc(members, non_members, *block) - resampled_auc(others, non_others, *block) for block in counts
    ]
    return Estimate(value, percentile_interval(np.concatenate(differences), level, PAIRED))


def over_seeds(values: Sequence[float]) -> Repeated:
    """Mean and deviation of one metric, a value for each seed.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no seeds to average over")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Repeated(tuple(values), float(np.mean(values)), deviation)


def _arrays(sides: Sides) -> tuple[Scores, Scores]:
    return np.asarray(sides[0], dtype=np.float64), np.asarray(sides[1], dtype=np.float64)
