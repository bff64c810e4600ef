"""The validity block: what has to hold before a number means anything."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from leakscope.attack_engine.evaluation.auc import estimate_auc
from leakscope.attack_engine.evaluation.comparison import auc_difference
from leakscope.attack_engine.evaluation.power import assess_power
from leakscope.attack_engine.evaluation.results import (
    BlindBaseline,
    Estimate,
    Evaluation,
    NullControl,
    SplitTest,
    Validity,
)

FAMILY_ERROR = 0.05


def null_control(
    name: str,
    description: str,
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    controls_in_report: int,
) -> NullControl:
    """The verdict on one null control: its AUC interval at 1 - 0.05 / `controls_in_report` must contain 0.5.

    With that level (Bonferroni) all controls of an honest report hold together with probability 95 % or more.

    Raises:
        DataError: a side is empty or a score is not finite.
        ValueError: fewer than one control in the report.
    """
    if controls_in_report < 1:
        raise ValueError("a report with a null control has at least one")
    auc = estimate_auc(member_scores, non_member_scores, level=1.0 - FAMILY_ERROR / controls_in_report)
    return NullControl(name, description, auc, auc.interval.contains(0.5))


def excess_over_blind(
    attack: tuple[ArrayLike, ArrayLike],
    blind: tuple[ArrayLike, ArrayLike],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Estimate:
    """AUC of the attack less AUC of the blind baseline on the same samples, with a paired bootstrap.

    Args:
        attack: scores of members [M] and non-members [N], higher = member.
        blind: `Blind`'s scores of the same samples in the same order.
        rng: draws the resamples.
        resamples: of the samples.

    Raises:
        DataError: the two do not have the same numbers of samples.
    """
    return auc_difference(attack, blind, rng=rng, resamples=resamples)


def assess_validity(
    evaluation: Evaluation,
    null_controls: Sequence[NullControl],
    *,
    controls_in_report: int,
    blind: BlindBaseline,
    split_test: SplitTest,
    excess: Estimate | None,
) -> Validity:
    """The validity block of one audit.

    Args:
        evaluation: of the audit.
        null_controls: its controls, from `null_control` at the same `controls_in_report`.
        controls_in_report: null controls in all audits of the report together.
        blind: from `blind_baseline` on the audit's images.
        split_test: from `split_test` on them.
        excess: from `excess_over_blind`; None where the attack scored other samples.
    """
    targets = [rate.target_fpr for rate in evaluation.tpr_at_fpr]
    return Validity(
        null_controls=tuple(null_controls),
        controls_in_report=controls_in_report,
        blind=blind,
        split_test=split_test,
        power=assess_power(evaluation.members, evaluation.non_members, targets),
        excess_over_blind=excess,
    )
