"""Who is in it: samples called members such that at most a stated share of the calls is wrong, on average."""

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.estimates import Discoveries
from latentprint.attack_engine.statistics.multiple_testing import benjamini_hochberg

FDR = 0.05  # of a members list where nothing else is asked for


def discover(sample_ids: ArrayLike, member: ArrayLike, p_values: ArrayLike, *, fdr: float = FDR) -> Discoveries:
    """Samples called members at a false discovery rate of at most `fdr`, most certain first.

    Args:
        sample_ids: int64 [E].
        member: bool [E], the truth, used only to count how many of the calls are right.
        p_values: float [E] for "not a member", conservative where it is true.
        fdr: a fraction.
    """
    ids, truth, values = np.asarray(sample_ids), np.asarray(member, dtype=bool), np.asarray(p_values)
    called = np.flatnonzero(benjamini_hochberg(values, fdr))
    called = called[np.lexsort((ids[called], values[called]))]
    return Discoveries(fdr, tuple(int(sample) for sample in ids[called]), int(truth[called].sum()))
