"""AUC against the definition, and its interval's coverage by simulation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from latentprint.attack_engine.statistics.auc import auc, auc_moments, estimate_auc, p_values
from latentprint.attack_engine.statistics.bootstrap import bootstrap_auc
from latentprint.core.errors import DataError

FEW_VALUES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def naive_auc(members, non_members):
    wins = [(m > n) + 0.5 * (m == n) for m in members for n in non_members]
    return sum(wins) / len(wins)


def naive_variance(members, non_members):
    wins = np.array([[(m > n) + 0.5 * (m == n) for n in non_members] for m in members])
    return wins.mean(1).var(ddof=1) / len(members) + wins.mean(0).var(ddof=1) / len(non_members)


@settings(max_examples=60, deadline=None)
@given(FEW_VALUES, FEW_VALUES)
def test_auc_is_the_share_of_pairs_in_order_with_ties_half(members, non_members):
    assert auc(members, non_members) == pytest.approx(naive_auc(members, non_members), abs=1e-12)
    assert auc(non_members, members) == pytest.approx(1 - auc(members, non_members), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=12), st.lists(st.integers(-3, 3), min_size=2, max_size=12))
def test_variance_is_delongs(members, non_members):
    expected = naive_variance(members, non_members)
    found = auc_moments(members, non_members).variance
    assert (found or 0.0) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(FEW_VALUES, FEW_VALUES, st.randoms(use_true_random=False), st.sampled_from([0.9, 0.95, 0.9975]))
def test_interval_holds_the_value_has_width_and_ignores_order(members, non_members, random, level):
    estimate = estimate_auc(members, non_members, level=level)
    interval = estimate.interval
    assert 0 <= interval.low <= estimate.value <= interval.high <= 1
    assert interval.high - interval.low > 0
    assert interval.low > 0 or interval.high < 1 or min(len(members), len(non_members)) < 3
    random.shuffle(members)
    random.shuffle(non_members)
    assert estimate_auc(members, non_members, level=level) == estimate


@settings(max_examples=60, deadline=None)
@given(FEW_VALUES, FEW_VALUES, st.sampled_from([0.8, 0.95, 0.99]))
def test_p_value_is_dual_to_the_interval(members, non_members, level):
    interval = estimate_auc(members, non_members, level=level).interval
    above, below = p_values(auc_moments(members, non_members))
    for p_value, leaves_out in ((above, interval.low > 0.5 + 1e-9), (below, interval.high < 0.5 - 1e-9)):
        assert not leaves_out or p_value <= (1 - level) / 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.8), st.sampled_from([0.8, 0.95, 0.99]))
def test_of_samples_that_suffice_the_interval_leaves_out_chance_exactly_where_the_p_value_says(seed, shift, level):
    rng = np.random.default_rng(seed)
    members, non_members = rng.normal(shift, 1, 25), rng.normal(0, 1, 30)
    low = estimate_auc(members, non_members, level=level).interval.low
    if abs(low - 0.5) > 1e-9:
        assert (low > 0.5) == (p_values(auc_moments(members, non_members))[0] < (1 - level) / 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-2, 3), min_size=1, max_size=5), st.lists(st.integers(-2, 3), min_size=1, max_size=6))
def test_few_samples_are_judged_by_every_permutation(members, non_members):
    pooled = np.array([*members, *non_members], dtype=float)
    chosen = [list(rows) for rows in combinations(range(len(pooled)), len(members))]
    others = [np.setdiff1d(np.arange(len(pooled)), rows) for rows in chosen]
    every = np.array([naive_auc(pooled[rows], pooled[rest]) for rows, rest in zip(chosen, others, strict=True)])
    own = naive_auc(members, non_members)
    assert p_values(auc_moments(members, non_members)) == pytest.approx(
        (np.mean(every >= own - 1e-12), np.mean(every <= own + 1e-12))
    )


def test_perfect_separation_of_three_against_three_is_one_in_twenty():
    moments = auc_moments([4, 5, 6], [1, 2, 3])
    assert p_values(moments) == pytest.approx((1 / 20, 1.0))
    assert estimate_auc([4, 5, 6], [1, 2, 3]).interval.low <= 0.5
    assert estimate_auc([4, 5, 6], [1, 2, 3], level=0.89).interval.low > 0.5


@pytest.mark.parametrize(("members", "non_members"), [(3, 3), (5, 8), (12, 12), (19, 100)])
def test_few_null_samples_claim_no_more_often_than_nominal(members, non_members):
    rng = np.random.default_rng(4)
    claims = [
        estimate_auc(rng.normal(size=members), rng.normal(size=non_members)).interval.low > 0.5 for _ in range(400)
    ]
    assert np.mean(claims) <= 0.025 + 2.6 * (0.025 * 0.975 / 400) ** 0.5


@pytest.mark.parametrize("sizes", [(1, 1), (1, 50), (50, 1), (2, 2), (30, 30), (1000, 1000)])
def test_perfect_separation_and_equal_scores_keep_an_honest_interval(sizes):
    members, non_members = sizes
    perfect = estimate_auc(np.ones(members), np.zeros(non_members))
    reversed_ = estimate_auc(np.zeros(members), np.ones(non_members))
    equal = estimate_auc(np.ones(members), np.ones(non_members))
    assert perfect.value == perfect.interval.high == 1.0
    assert perfect.interval.low < 1 - 0.5 / (members * non_members)
    assert reversed_.interval.low == 0.0
    assert reversed_.interval.high == pytest.approx(1 - perfect.interval.low)
    assert equal.value == 0.5
    assert equal.interval.low < 0.5 < equal.interval.high
    if max(sizes) == 2:
        assert perfect.interval.contains(0.5)


def test_perfect_separation_of_thirty_proves_a_leak_and_of_two_does_not():
    assert estimate_auc(np.ones(30), np.zeros(30)).interval.low > 0.8
    assert estimate_auc([1.0, 1.0], [0.0, 0.0]).interval.low < 0.5


@pytest.mark.parametrize(
    ("truth", "spread", "members", "non_members", "level"),
    [
        (0.5, 1.0, 50, 50, 0.95),
        (0.5, 3.0, 100, 30, 0.95),
        (0.7, 1.0, 100, 100, 0.95),
        (0.9, 2.0, 100, 60, 0.95),
        (0.7, 1.0, 60, 60, 0.9),
    ],
)
def test_interval_covers_at_its_level(truth, spread, members, non_members, level):
    rng = np.random.default_rng(0)
    shift = norm.ppf(truth) * np.hypot(spread, 1)
    draws = 1200
    covered = sum(
        estimate_auc(rng.normal(shift, spread, members), rng.normal(0, 1, non_members), level=level).interval.contains(
            truth
        )
        for _ in range(draws)
    )
    assert level - 0.018 <= covered / draws <= level + 0.025


def test_interval_covers_near_perfect_separation():
    rng = np.random.default_rng(1)
    shift = norm.ppf(0.98) * np.hypot(3, 1)
    covered = [
        estimate_auc(rng.normal(shift, 3, 100), rng.normal(0, 1, 100)).interval.contains(0.98) for _ in range(600)
    ]
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize(("samples", "ties"), [(10, False), (40, False), (40, True), (200, False)])
def test_null_scores_lie_above_chance_no_more_often_than_nominal(samples, ties):
    rng = np.random.default_rng(2)
    draws = 2000
    claims = 0
    for _ in range(draws):
        members, non_members = rng.normal(size=(2, samples))
        if ties:
            members, non_members = members.round(), non_members.round()
        claims += estimate_auc(members, non_members).interval.low > 0.5
    assert claims / draws <= 0.025 + 2.6 * (0.025 * 0.975 / draws) ** 0.5


def test_bootstrap_agrees_with_delong():
    rng = np.random.default_rng(3)
    members, non_members = rng.normal(0.8, 1, 300), rng.normal(0, 1, 200)
    bootstrap = bootstrap_auc(members, non_members, rng=rng)
    delong = estimate_auc(members, non_members)
    assert bootstrap.value == delong.value
    assert bootstrap.interval.low == pytest.approx(delong.interval.low, abs=0.01)
    assert bootstrap.interval.high == pytest.approx(delong.interval.high, abs=0.01)


def test_bootstrap_covers_at_its_level():
    rng = np.random.default_rng(4)
    shift = norm.ppf(0.7) * 2**0.5
    covered = [
        bootstrap_auc(rng.normal(shift, 1, 80), rng.normal(0, 1, 80), rng=rng, resamples=400).interval.contains(0.7)
        for _ in range(500)
    ]
    assert 0.92 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("bad", [[], [np.nan], [np.inf], [[1.0, 2.0]]])
def test_scores_that_are_no_scores_are_refused(bad):
    with pytest.raises(DataError, match="members"):
        auc(bad, [1.0])
    with pytest.raises(DataError, match="non-members"):
        auc([1.0], bad)
