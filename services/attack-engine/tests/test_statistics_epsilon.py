"""The bound on epsilon: valid without a leak, useful with one."""

import numpy as np
import pytest
from scipy.special import expit

from latentprint.attack_engine.statistics.epsilon import epsilon_clopper_pearson, error_grid
from latentprint.core.errors import DataError


@pytest.mark.parametrize(("members", "non_members"), [(20, 20), (200, 200), (1000, 100)])
@pytest.mark.parametrize("ties", [False, True])
def test_null_scores_claim_a_leak_no_more_often_than_nominal(members, non_members, ties):
    rng = np.random.default_rng(0)
    draws = 600
    claims = 0
    for _ in range(draws):
        left, right = rng.normal(size=members), rng.normal(size=non_members)
        if ties:
            left, right = left.round(), right.round()
        claims += epsilon_clopper_pearson(left, right).epsilon > 0
    assert claims / draws <= 0.05


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_bound_stays_below_the_epsilon_of_a_mechanism_that_attains_it(epsilon):
    """Randomised response with smooth scores has exactly this epsilon at every threshold up to its jump."""
    rng = np.random.default_rng(1)
    exceeded, bounds = 0, []
    for _ in range(300):
        said = rng.random((2, 500)) < np.array([[expit(epsilon)], [expit(-epsilon)]])
        scores = said + rng.random(said.shape)
        bound = epsilon_clopper_pearson(scores[0], scores[1], delta=0.0).epsilon
        exceeded += bound > epsilon
        bounds.append(bound)
    assert exceeded / 300 <= 0.05
    assert np.mean(bounds) > 0.3 * epsilon


def test_direction_does_not_matter_for_a_symmetric_leak():
    rng = np.random.default_rng(2)
    members, non_members = rng.normal(2, 1, 400), rng.normal(0, 1, 400)
    forward = epsilon_clopper_pearson(members, non_members)
    mirrored = epsilon_clopper_pearson(-non_members, -members)
    assert forward.epsilon == pytest.approx(mirrored.epsilon)
    assert forward.epsilon > 2
    assert epsilon_clopper_pearson(non_members, members).epsilon == 0


def test_more_samples_prove_more_and_a_delta_proves_less():
    few = epsilon_clopper_pearson(np.ones(20), np.zeros(20))
    many = epsilon_clopper_pearson(np.ones(2000), np.zeros(2000))
    generous = epsilon_clopper_pearson(np.ones(2000), np.zeros(2000), delta=0.9)
    assert 0 < few.epsilon < many.epsilon < np.log(2000)
    assert generous.epsilon < many.epsilon


def test_a_single_sample_proves_nothing():
    bound = epsilon_clopper_pearson([1.0], [0.0])
    assert bound.epsilon == 0
    assert np.isfinite(bound.epsilon)


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 1000])
def test_grid_depends_on_the_size_alone_and_stays_within_it(samples):
    grid = error_grid(samples)
    assert grid[0] == 0
    assert (np.diff(grid) > 0).all()
    assert grid[-1] <= samples / 2


def test_thresholds_searched_are_counted():
    bound = epsilon_clopper_pearson(np.ones(100), np.zeros(50))
    assert bound.thresholds == error_grid(100).size + error_grid(50).size


def test_empty_side_is_refused():
    with pytest.raises(DataError, match="at least one sample"):
        epsilon_clopper_pearson([], [1.0])
