"""Metrics at the inference model's own decision, whatever it is: who is called a member."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.binomial import CLOPPER_PEARSON, clopper_pearson
from latentprint.attack_engine.statistics.estimates import Estimate, Interval
from latentprint.attack_engine.statistics.scores import both_sides


@dataclass(frozen=True)
class DecisionMetrics:
    """Fractions of one decision; `precision` is None where no sample is called a member."""

    balanced_accuracy: Estimate
    precision: float | None
    recall: float
    f1: float


def decision_metrics(
    members_called: ArrayLike, non_members_called: ArrayLike, *, level: float = 0.95
) -> DecisionMetrics:
    """Balanced accuracy with its interval, precision, recall and F1 of a decision, bool [M] and bool [N].

    Precision and F1 depend on how many members there are beside non-members; balanced accuracy and recall do not.

    Raises:
        DataError: a side is empty.
    """
    members, non_members = both_sides(np.asarray(members_called, float), np.asarray(non_members_called, float))
    right, wrong = int(members.sum()), int(non_members.sum())
    called = right + wrong
    return DecisionMetrics(
        balanced_accuracy=balanced_accuracy(right, members.size, wrong, non_members.size, level=level),
        precision=right / called if called else None,
        recall=right / members.size,
        f1=2 * right / (called + members.size),
    )


def balanced_accuracy(
    true_positives: int, members: int, false_positives: int, non_members: int, *, level: float = 0.95
) -> Estimate:
    """The mean of TPR and 1 - FPR, from counts.

    The interval adds the two Clopper-Pearson intervals' reaches in quadrature (MOVER: Zou and Donner 2008), which is
    at least its level for two independent proportions and never of zero width.
    """
    true_negatives = non_members - false_positives
    tpr, tnr = true_positives / members, true_negatives / non_members
    left, right = clopper_pearson(true_positives, members, level), clopper_pearson(true_negatives, non_members, level)
    value = (tpr + tnr) / 2.0
    down = ((tpr - left.low) ** 2 + (tnr - right.low) ** 2) ** 0.5 / 2.0
    up = ((left.high - tpr) ** 2 + (right.high - tnr) ** 2) ** 0.5 / 2.0
    return Estimate(value, Interval(max(0.0, value - down), min(1.0, value + up), level, f"MOVER, {CLOPPER_PEARSON}"))
