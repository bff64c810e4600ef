"""The stratified bootstrap: members and non-members resampled each on their own, many resamples at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from latentprint.attack_engine.statistics.auc import auc
from latentprint.attack_engine.statistics.estimates import Estimate, Interval
from latentprint.attack_engine.statistics.scores import Counts, Rates, Scores, both_sides

STRATIFIED = "stratified bootstrap"
_CELLS_AT_ONCE = 4_000_000


def resampled_counts(
    members: int, non_members: int, *, rng: np.random.Generator, resamples: int
) -> Iterator[tuple[Counts, Counts]]:
    """How often each sample was drawn, a block of resamples at a time.

    Yields:
        Members' counts int64 [C, members] and non-members' counts int64 [C, non_members].
    """
    block = max(1, _CELLS_AT_ONCE // (members + non_members))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        yield _draw_counts(members, rows, rng), _draw_counts(non_members, rows, rng)


def _draw_counts(samples: int, rows: int, rng: np.random.Generator) -> Counts:
    """Counts [rows, samples] of as many draws with replacement as there are samples."""
    drawn = rng.integers(0, samples, size=(rows, samples))
    drawn += np.arange(rows)[:, None] * samples
    return np.bincount(drawn.ravel(), minlength=rows * samples).reshape(rows, samples)


def bootstrap_auc(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """AUC with the percentile interval of the stratified bootstrap.

    Of zero width under perfect separation, where `estimate_auc` is honest: this is its check, not its substitute.
    """
    members, non_members = both_sides(member_scores, non_member_scores)
    counts = resampled_counts(members.size, non_members.size, rng=rng, resamples=resamples)
    values = np.concatenate([resampled_auc(members, non_members, *block) for block in counts])
    return Estimate(auc(members, non_members), percentile_interval(values, level, STRATIFIED))


def resampled_auc(members: Scores, non_members: Scores, member_counts: Counts, non_member_counts: Counts) -> Rates:
    """AUC [C] of resamples: scores [M] and [N], in any order, with counts [C, M] and [C, N] that belong to them."""
    order = np.argsort(non_members, kind="stable")
    ranked = non_members[order]
    below = np.zeros((len(non_member_counts), ranked.size + 1))  # [C, N + 1]: non-members drawn among the lowest j
    np.cumsum(non_member_counts[:, order], axis=1, out=below[:, 1:])
    beaten = below[:, np.searchsorted(ranked, members, "left")] + below[:, np.searchsorted(ranked, members, "right")]
    wins = 0.5 * np.einsum("cm,cm->c", beaten, member_counts)
    return np.asarray(wins / (members.size * non_members.size))


def bootstrap_tpr(
    members: Scores,
    non_members: Scores,
    false_positives: Counts,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> Rates:
    """TPR [resamples, K] of resamples, each at its own lowest threshold with at most `false_positives` [K] of them.

    Drawn from the bootstrap's exact distribution, one K at a time, without resampling: the (k + 1)-th highest of N
    draws with replacement is the non-member ranked ceil(N * Beta(k + 1, N - k)) from the top, and the members drawn
    above it are binomial. `members` and `non_members` ascend.
    """
    excluded = np.minimum(false_positives, non_members.size - 1)
    quantile = rng.beta(excluded + 1, non_members.size - excluded, size=(resamples, excluded.size))
    rank = np.clip(np.ceil(quantile * non_members.size), 1, non_members.size).astype(np.int64)
    above = members.size - np.searchsorted(members, non_members[::-1], side="right")
    tpr = rng.binomial(members.size, above[rank - 1] / members.size) / members.size
    return np.where(false_positives >= non_members.size, 1.0, tpr)


def percentile_interval(values: Rates, level: float, method: str) -> Interval:
    """The central `level` of bootstrapped `values` [B]."""
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high), level, method)
