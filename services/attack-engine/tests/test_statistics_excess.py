"""Paired excess of accuracy: level and coverage where both guesses are as good, and units counted once."""

import numpy as np
import pytest

from latentprint.attack_engine.statistics.excess import AGRESTI_MIN, STUDENT, paired_excess

SAMPLES = 150


@pytest.mark.parametrize("agreement", [0.3, 0.9])
def test_level_and_coverage_of_equally_good_guesses(agreement: float) -> None:
    rng = np.random.default_rng(3)
    rejected = covered = 0
    for _ in range(1000):
        right = rng.random(SAMPLES) < 0.7
        other = np.where(rng.random(SAMPLES) < agreement, right, rng.random(SAMPLES) < 0.7)
        estimate, p_value = paired_excess(right, other)
        rejected += p_value <= 0.05
        covered += estimate.interval.contains(0.0)
    assert rejected / 1000 <= 0.06
    assert 0.935 <= covered / 1000 <= 0.99


def test_units_of_several_samples_count_once() -> None:
    """Ten samples of a unit that say the same are one observation: by sample, half of all draws would be rejected."""
    rng = np.random.default_rng(4)
    units = np.repeat(np.arange(30), 10)
    rejected = np.zeros(2)
    for _ in range(400):
        right, other = (np.repeat(rng.random(30) < 0.6, 10) for _ in range(2))
        rejected += [paired_excess(right, other, units=units)[1] <= 0.05, paired_excess(right, other)[1] <= 0.05]
    by_unit, by_sample = rejected / 400
    assert by_unit <= 0.08
    assert by_sample >= 0.2


def test_values_by_hand() -> None:
    right, baseline = np.array([True] * 9 + [False]), np.array([True] * 4 + [False] * 5 + [True])
    estimate, p_value = paired_excess(right, baseline)
    assert estimate.value == pytest.approx(0.4)
    assert estimate.interval.method == AGRESTI_MIN
    assert p_value == pytest.approx(7 / 64)  # 5 or more of 6 fair coins
    same, p_same = paired_excess(right, right)
    assert (same.value, p_same) == (0.0, 1.0)
    assert same.interval.low < 0 < same.interval.high
    alike, p_alike = paired_excess(np.ones(8, dtype=bool), np.zeros(8, dtype=bool), units=np.arange(8) // 2)
    assert (alike.value, alike.interval.method, p_alike) == (1.0, STUDENT, 1 / 16)


def test_nothing_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="0 guesses"):
        paired_excess(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
