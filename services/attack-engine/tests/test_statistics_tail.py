"""The tail's exact test against every order of the samples, and against simulated leaks."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.statistics.paired import exchange_p_value
from latentprint.attack_engine.statistics.tail import (
    critical_count,
    detectable_share,
    expected_by_guessing,
    members_above,
    tail_count,
    tail_p_value,
    tail_target,
)
from latentprint.attack_engine.statistics.thresholds import members_called


def every_count(members: int, non_members: int, allowed: int) -> np.ndarray:
    """Members before the (allowed + 1)-th non-member, in every order of members and non-members."""
    orders = combinations(range(members + non_members), non_members)
    return np.array([places[allowed] - allowed for places in orders])


@pytest.mark.parametrize(("members", "non_members", "allowed"), [(4, 5, 0), (4, 5, 2), (6, 3, 1), (1, 7, 3)])
def test_the_p_value_counts_every_order(members, non_members, allowed):
    counts = every_count(members, non_members, allowed)
    for found in range(members + 1):
        expected = np.mean(counts >= found)
        assert tail_p_value(found, allowed, members, non_members) == pytest.approx(expected)
    assert expected_by_guessing(members, non_members, allowed) == pytest.approx(counts.mean())


@pytest.mark.parametrize(("members", "non_members"), [(100, 100), (50, 400), (1000, 1000), (300, 2500)])
@pytest.mark.parametrize("ties", [False, True])
def test_null_scores_reach_the_tail_no_more_often_than_nominal(members, non_members, ties):
    rng = np.random.default_rng(0)
    draws = 400
    p_values = []
    for _ in range(draws):
        sides = rng.normal(size=members), rng.normal(size=non_members)
        p_values.append(tail_count(*(side.round(1) if ties else side for side in sides)).p_value)
    for level in (0.025, 0.1, 0.5):
        assert np.mean(np.array(p_values) <= level) <= level + 3 * (level * (1 - level) / draws) ** 0.5


def test_one_member_in_seventy_is_seen_where_the_auc_is_not():
    rng = np.random.default_rng(1)
    members, non_members = rng.normal(size=1000), rng.normal(size=2000)
    members[:14] += 8
    tail = tail_count(members, non_members)
    assert (tail.false_positives, tail.target_fpr) == (2, 0.001)
    assert tail.true_positives >= 14
    assert tail.p_value < 1e-5
    assert tail.expected == pytest.approx(1.5, abs=0.01)


def test_too_few_non_members_have_no_tail():
    assert tail_count(np.arange(500.0), np.arange(99.0)) is None
    assert tail_target(100) == 0.01
    assert tail_target(999) == 0.01
    assert tail_target(1000) == 0.001
    assert detectable_share(1000, 99) is None


@pytest.mark.parametrize("samples", [(1000, 10_000), (1000, 1000), (200, 400), (100, 100)])
def test_the_detectable_share_is_seen_four_times_in_five(samples):
    members, non_members = samples
    share = detectable_share(members, non_members)
    rng = np.random.default_rng(2)
    seen = []
    for _ in range(300):
        scores = rng.normal(size=members) + 20 * (rng.random(members) < share)
        seen.append(tail_count(scores, rng.normal(size=non_members)).p_value <= 0.025)
    assert 0.72 <= np.mean(seen) <= 0.88


@pytest.mark.parametrize("controls", [1, 3])
def test_the_detectable_share_is_seen_beside_controls_four_times_in_five(controls):
    members, non_members = 1000, 2000
    share = detectable_share(members, non_members, controls=controls)
    assert share > detectable_share(members, non_members)
    rng, allowed, seen = np.random.default_rng(3), 2, []
    for _ in range(150):
        attack = rng.normal(size=members) + 20 * (rng.random(members) < share), rng.normal(size=non_members)
        beside = [(rng.normal(size=members), rng.normal(size=non_members)) for _ in range(controls)]
        differences = (exchange_p_value(attack, other, allowed, rng) for other in beside)
        seen.append(tail_count(*attack).p_value <= 0.025 and all(p <= 0.025 for p in differences))
    assert 0.7 <= np.mean(seen) <= 0.92


def test_the_critical_count_is_the_fewest():
    for members, non_members, allowed in ((100, 200, 2), (1000, 1000, 1), (50, 5000, 5)):
        needed = critical_count(members, non_members, allowed, 0.025)
        assert tail_p_value(needed, allowed, members, non_members) <= 0.025
        assert tail_p_value(needed - 1, allowed, members, non_members) > 0.025
    assert critical_count(2, 100, 50, 0.025) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_many_rows_at_once_count_as_one_does(seed, members, non_members, ties):
    rng = np.random.default_rng(seed)
    draw = (lambda *shape: rng.integers(0, 4, shape).astype(float)) if ties else (lambda *shape: rng.normal(size=shape))
    first, second = draw(5, members), draw(5, non_members)
    for allowed in range(non_members):
        expected = [
            members_called(np.sort(a), np.sort(b), np.array([allowed]))[0] for a, b in zip(first, second, strict=True)
        ]
        assert members_above(first, second, allowed).tolist() == expected
