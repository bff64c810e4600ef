"""Who is in it: samples called members such that at most a stated share of the calls is wrong, on average."""

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.estimates import Discoveries
from latentprint.attack_engine.statistics.multiple_testing import benjamini_hochberg
from latentprint.attack_engine.statistics.scores import Rates, as_scores


def conformal_p_values(scores: ArrayLike, calibration_scores: ArrayLike) -> Rates:
    """p-value [E] of each score [E] for "not a member": how many calibration non-members score as high or higher.

    (1 + #{calibration >= score}) / (1 + calibration); valid if calibration and evaluated non-members are exchangeable.
    So the calibration samples must not have trained the inference model whose scores these are. The smallest
    possible value is 1 / (1 + calibration).

    Args:
        scores: float [E], higher = member.
        calibration_scores: float [C] of known non-members.

    Raises:
        DataError: no calibration scores, or scores that are not finite.
    """
    calibration = as_scores(calibration_scores, "calibration non-members")
    at_least = calibration.size - np.searchsorted(calibration, np.asarray(scores, dtype=np.float64), side="left")
    return np.asarray((1.0 + at_least) / (1.0 + calibration.size))


def discover(sample_ids: ArrayLike, member: ArrayLike, p_values: ArrayLike, *, fdr: float = 0.05) -> Discoveries:
    """Samples called members at a false discovery rate of at most `fdr`, most certain first.

    Args:
        sample_ids: int64 [E].
        member: bool [E], the truth, used only to count how many of the calls are right.
        p_values: float [E] for "not a member", from `conformal_p_values`.
        fdr: a fraction.
    """
    ids, truth, values = np.asarray(sample_ids), np.asarray(member, dtype=bool), np.asarray(p_values)
    called = np.flatnonzero(benjamini_hochberg(values, fdr))
    called = called[np.lexsort((ids[called], values[called]))]
    return Discoveries(fdr, tuple(int(sample) for sample in ids[called]), int(truth[called].sum()))
