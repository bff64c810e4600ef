"""What class labels alone tell of membership: the control of every attack that reads them."""

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.inference.base import Scores
from latentprint.core.datasets import Ids
from latentprint.core.splits import KNOWN, Split

_PRIOR = 1.0  # pseudo-counts on each side, so that a class seen once is no certainty


def label_scores(label: Ids, split: Split, rng: np.random.Generator) -> Scored:
    """Score evaluated samples by how many of their class are members among other samples.

    Those are the known ones. Where none is known, one half of the evaluated samples, drawn at random, tells of the
    other half, which alone is scored: two halves that score each other would err together.

    Args:
        label: int64 [S], class, in the split's order.
        split: who is a member and who is known.
        rng: draws the half.
    """
    known = split.role == KNOWN
    others = np.flatnonzero(known) if known.any() else _half(split.member, rng)
    scored = np.setdiff1d(np.flatnonzero(~known), others)
    score = _member_share(label, split.member, others)[label[scored]]
    return Scored(split.sample_id[scored], split.member[scored], score, 0.5)


def _member_share(label: Ids, member: NDArray[np.bool_], rows: NDArray[np.int64]) -> Scores:
    """Each class's share of members [C] among `rows`, both sides weighted alike, drawn towards one half."""
    classes = int(label.max()) + 1
    sides = [np.bincount(label[rows[member[rows] == side]], minlength=classes) + _PRIOR for side in (True, False)]
    inside, outside = (counts / counts.sum() for counts in sides)
    return np.asarray(inside / (inside + outside))


def _half(member: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of half of the members and half of the others."""
    sides = (rng.permutation(np.flatnonzero(member == side)) for side in (True, False))
    return np.concatenate([rows[: rows.size // 2] for rows in sides])
