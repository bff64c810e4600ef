"""Who is called a member: error rates by simulation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.statistics.discoveries import discover
from latentprint.attack_engine.statistics.multiple_testing import benjamini_hochberg, holm


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


def test_discoveries_name_samples_most_certain_first():
    found = discover([7, 5, 9, 1], [True, False, True, True], [0.002, 0.001, 0.9, 0.001])
    assert found.sample_ids == (1, 5, 7)
    assert found.true_members == 2
    assert discover([1, 2], [True, True], [0.5, 0.6]).sample_ids == ()


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
