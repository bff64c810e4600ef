"""Who is a member of which reference model: a design that more models add to and never change."""

import numpy as np

from latentprint.core.datasets import Dataset, Ids

_FOLDS = 11


def parts_of(pool: int, members: int) -> int:
    """Into how many parts of about `members` samples a pool of so many is cut."""
    return max(2, round(pool / members))


def reference_members(dataset: Dataset, pool: Ids, members: int, reference: int, seed: int) -> Ids:
    """The samples that one reference is trained on.

    The pool is cut into parts of about `members` samples, at least two, alike in classes; each reference is trained on
    one part, and when all parts are used up the pool is cut anew. So every sample is in as many references as any
    other, whatever their number: in half of them where the pool has twice the victim's members (LiRA, S&P 2022).

    Args:
        dataset: with the label "class".
        pool: int64 [P].
        members: of the victim, so that a reference is as overfitted as it is.
        reference: number of the reference, from 0.
        seed: of the cuts.

    Returns:
        int64, sorted.
    """
    parts = parts_of(len(pool), members)
    cut, part = divmod(reference, parts)
    rng = np.random.default_rng([seed, _FOLDS, cut])
    shuffled = rng.permutation(pool)
    by_class = shuffled[np.argsort(dataset.labels["class"][shuffled], kind="stable")]
    first = int(rng.integers(parts))  # so that no part is always the one with a class's odd sample
    return np.sort(by_class[(np.arange(len(pool)) + first) % parts == part])
