"""All that two arrays of scores say about membership."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.questions.membership.results import Evaluation
from latentprint.attack_engine.statistics.auc import auc_interval, auc_moments, p_values
from latentprint.attack_engine.statistics.decision import decision_metrics
from latentprint.attack_engine.statistics.epsilon import epsilon_clopper_pearson
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.attack_engine.statistics.rates import TARGET_FPRS, tpr_at_fprs
from latentprint.attack_engine.statistics.roc import roc_curve, score_histogram
from latentprint.attack_engine.statistics.tail import tail_count


def evaluate(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    called: tuple[ArrayLike, ArrayLike],
    rng: np.random.Generator,
    target_fprs: Sequence[float] = TARGET_FPRS,
    delta: float = 1e-5,
    level: float = 0.95,
    resamples: int = 2000,
) -> Evaluation:
    """Every metric with its interval, from scores of evaluated members and non-members.

    The order of samples within a side never matters: the same `rng` state gives the same evaluation.

    Args:
        member_scores: float [M], higher = member, finite.
        non_member_scores: float [N].
        called: bool [M] and [N], who the inference model's own decision calls a member.
        rng: draws the bootstrap's resamples.
        target_fprs: fractions at which the TPR is wanted.
        delta: of the empirical (epsilon, delta) bound.
        level: of every interval, as a fraction.
        resamples: of each bootstrap.

    Raises:
        DataError: a side is empty or a score is not finite.
    """
    moments = auc_moments(member_scores, non_member_scores)
    decision = decision_metrics(*called, level=level)
    p_above, p_below = p_values(moments)
    return Evaluation(
        members=moments.members,
        non_members=moments.non_members,
        auc=Estimate(moments.auc, auc_interval(moments, level)),
        balanced_accuracy=decision.balanced_accuracy,
        precision=decision.precision,
        recall=decision.recall,
        f1=decision.f1,
        tpr_at_fpr=tpr_at_fprs(
            member_scores, non_member_scores, target_fprs, rng=rng, resamples=resamples, level=level
        ),
        epsilon=epsilon_clopper_pearson(member_scores, non_member_scores, delta=delta, level=level),
        roc=roc_curve(member_scores, non_member_scores, rng=rng, level=level),
        histogram=score_histogram(member_scores, non_member_scores),
        p_value=p_above,
        p_value_below=p_below,
        tail=tail_count(member_scores, non_member_scores),
    )
