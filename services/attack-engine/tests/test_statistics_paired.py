"""An attack against its controls on the same samples: level wherever both find alike, power where one finds more."""

import numpy as np
import pytest
from scipy.stats import norm

from latentprint.attack_engine.statistics.paired import exchange_p_value, paired_difference
from latentprint.attack_engine.statistics.tail import tail_target
from latentprint.attack_engine.statistics.thresholds import false_positives_allowed
from latentprint.core.errors import DataError

Sides = tuple[np.ndarray, np.ndarray]


def alike(rng: np.random.Generator, members: int, non_members: int, auc: float, shared: float) -> tuple[Sides, Sides]:
    """Two attacks of one true AUC, whose scores of a sample have correlation `shared`."""
    shift = norm.ppf(auc) * 2**0.5

    def both(size: int) -> np.ndarray:
        common = rng.normal(size=size)
        return np.stack([shared**0.5 * common + (1 - shared) ** 0.5 * rng.normal(size=size) for _ in range(2)])

    inside, outside = both(members) + shift, both(non_members)
    return (inside[0], outside[0]), (inside[1], outside[1])


@pytest.mark.parametrize(("auc", "shared"), [(0.5, 0.0), (0.58, 0.6), (0.7, 0.3)])
@pytest.mark.parametrize("samples", [(15, 25), (100, 100), (200, 1000)])
def test_what_finds_alike_is_told_apart_no_more_often_than_nominal(auc, shared, samples):
    rng = np.random.default_rng(0)
    allowed = false_positives_allowed(0.01, samples[1]) or None
    draws, level = 200, 0.05
    found = np.zeros(3)
    for _ in range(draws):
        one = paired_difference("twin", *alike(rng, *samples, auc, shared), false_positives=allowed, rng=rng)
        found += [one.p_above <= level, one.p_below <= level, one.p_tail is not None and one.p_tail <= level]
    assert (found / draws <= level + 3 * (level * (1 - level) / draws) ** 0.5).all(), found / draws


def test_the_difference_covers_its_true_value():
    rng = np.random.default_rng(8)
    covered = []
    for _ in range(400):
        shared = [rng.normal(side, 1, 60) for side in (0.7, 0.0)]
        other = [scores + rng.normal(0, 0.7, 60) for scores in shared]
        one = paired_difference("twin", tuple(shared), tuple(other), false_positives=None, rng=rng)
        covered.append(one.auc.interval.contains(0.68969 - 0.65744))
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_leak_in_the_tail_is_told_from_a_control_without_one():
    rng = np.random.default_rng(3)
    members, non_members = rng.normal(size=1000), rng.normal(size=2000)
    exposed = members + 9 * (np.arange(1000) < 20)
    allowed = false_positives_allowed(tail_target(2000), 2000)
    attack, control = (exposed, non_members), (rng.normal(size=1000), rng.normal(size=2000))
    assert exchange_p_value(attack, control, allowed, rng) <= 1e-3
    assert exchange_p_value(control, attack, allowed, rng) > 0.5
    assert exchange_p_value(attack, attack, allowed, rng) == pytest.approx(1.0)


def test_scales_and_order_of_samples_play_no_part():
    rng = np.random.default_rng(4)
    attack, control = alike(rng, 40, 60, 0.8, 0.2)
    plain = paired_difference("twin", attack, control, false_positives=1, rng=np.random.default_rng(0))
    scaled = paired_difference(
        "twin",
        (np.exp(attack[0]), np.exp(attack[1])),
        (1e6 * control[0], 1e6 * control[1]),
        false_positives=1,
        rng=np.random.default_rng(0),
    )
    assert scaled == plain
    order, others = rng.permutation(40), rng.permutation(60)
    mixed = [(side[0][order], side[1][others]) for side in (attack, control)]
    shuffled = paired_difference("twin", *mixed, false_positives=1, rng=np.random.default_rng(0))
    assert shuffled.auc == plain.auc
    assert (shuffled.p_above, shuffled.p_below) == (plain.p_above, plain.p_below)


def test_what_never_errs_against_what_never_tells():
    perfect, constant = (np.ones(30), np.zeros(30)), (np.ones(30), np.ones(30))
    one = paired_difference("twin", perfect, constant, false_positives=None, rng=np.random.default_rng(5))
    assert one.auc.value == 0.5
    assert one.p_above <= 1e-3
    assert one.p_below > 0.9


def test_other_samples_are_refused():
    good = (np.arange(8.0), np.arange(9.0))
    with pytest.raises(DataError, match="same samples"):
        paired_difference("t", good, (good[0][:5], good[1]), false_positives=None, rng=np.random.default_rng(0))
