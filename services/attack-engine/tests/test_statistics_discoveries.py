"""Who is called a member: error rates by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.statistics.discoveries import conformal_p_values, discover
from latentprint.attack_engine.statistics.multiple_testing import benjamini_hochberg, holm
from latentprint.core.errors import DataError


def naive_benjamini_hochberg(p_values, fdr):
    ranked = sorted(p_values)
    for k in range(len(ranked), 0, -1):
        if ranked[k - 1] <= fdr * k / len(ranked):
            return [p <= ranked[k - 1] for p in p_values]
    return [False] * len(p_values)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.03, 0.05, 0.2, 1.0]), min_size=1, max_size=12))
def test_benjamini_hochberg_is_the_step_up_rule(p_values):
    assert benjamini_hochberg(p_values, 0.05).tolist() == naive_benjamini_hochberg(p_values, 0.05)


def test_p_values_count_the_calibration_scores_at_or_above():
    found = conformal_p_values([3.0, 2.0, 0.0], [1.0, 2.0, 2.0, 0.5])
    np.testing.assert_allclose(found, [1 / 5, 3 / 5, 1.0])


@pytest.mark.parametrize("ties", [False, True])
def test_p_values_of_non_members_are_valid(ties):
    rng = np.random.default_rng(0)
    scores, calibration = rng.normal(size=(2000, 20)), rng.normal(size=(2000, 30))
    if ties:
        scores, calibration = scores.round(), calibration.round()
    p_values = np.array([conformal_p_values(s, c) for s, c in zip(scores, calibration, strict=True)])
    for error in (0.05, 0.1, 0.5):
        assert np.mean(p_values <= error) <= error + 0.01


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_false_discovery_rate_is_kept(share):
    rng = np.random.default_rng(1)
    proportions, found = [], []
    for _ in range(600):
        member = rng.random(200) < share
        scores = rng.normal(3.0 * member, 1)
        called = discover(np.arange(200), member, conformal_p_values(scores, rng.normal(size=150)))
        wrong = len(called.sample_ids) - called.true_members
        proportions.append(wrong / max(1, len(called.sample_ids)))
        found.append(called.true_members)
    assert np.mean(proportions) <= 0.05 + 2.6 * np.std(proportions) / 600**0.5
    if share:
        assert np.mean(found) > 0.2 * 200 * share


def test_discoveries_name_samples_most_certain_first():
    found = discover([7, 5, 9, 1], [True, False, True, True], [0.002, 0.001, 0.9, 0.001])
    assert found.sample_ids == (1, 5, 7)
    assert found.true_members == 2
    assert discover([1, 2], [True, True], [0.5, 0.6]).sample_ids == ()


def test_no_calibration_is_refused():
    with pytest.raises(DataError, match="calibration"):
        conformal_p_values([1.0], [])


def naive_holm(p_values, error):
    rejected = [False] * len(p_values)
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > error / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.1), min_size=1, max_size=10))
def test_holm_is_the_step_down_rule(p_values):
    assert holm(p_values, 0.05).tolist() == naive_holm(p_values, 0.05)


def test_holm_keeps_the_family_wise_error():
    rng = np.random.default_rng(2)
    false = [holm(rng.uniform(size=12), 0.05).any() for _ in range(3000)]
    assert np.mean(false) <= 0.06
