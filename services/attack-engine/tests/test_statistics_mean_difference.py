"""The difference of mean scores: its tests keep their level, its interval holds, and the published ones do not."""

import numpy as np
import pytest
from scipy.stats import binom, ttest_ind

from latentprint.attack_engine.statistics.estimates import MeanDifference
from latentprint.attack_engine.statistics.mean_difference import (
    detectable_difference,
    mean_difference,
    paired_mean_difference,
)
from latentprint.attack_engine.statistics.published_ownership import published_halved_p, published_resampled_p
from latentprint.core.errors import DataError

TRIALS = 600
LEVEL = 0.05


def within_level(rejections: int, trials: int = TRIALS, level: float = LEVEL) -> bool:
    """Whether so many rejections are no more than a test of this level makes, but for one chance in a thousand."""
    return rejections <= binom.ppf(0.999, trials, level)


def skewed(rng: np.random.Generator, size: tuple[int, ...], tail: float = 3.0) -> np.ndarray:
    """Scores with a long lower tail, as log-likelihoods have."""
    return -rng.gamma(1.0 / tail, size=size)


def of(seed: int, shift: float, sizes: tuple[int, int] = (40, 60)) -> MeanDifference:
    rng = np.random.default_rng(seed)
    return mean_difference(rng.normal(shift, 1, sizes[0]), rng.normal(0, 1, sizes[1]), rng=rng, permutations=9)


def test_it_is_welchs_test_in_the_right_direction() -> None:
    rng = np.random.default_rng(0)
    private, test = rng.normal(0.6, 2, 30), rng.normal(0, 1, 80)
    found = mean_difference(private, test, rng=rng)
    assert found.welch_p == pytest.approx(ttest_ind(private, test, equal_var=False, alternative="greater").pvalue)
    assert found.permutation_p == pytest.approx(found.welch_p, abs=0.02)
    turned = mean_difference(test, private, rng=rng)
    assert turned.welch_p == pytest.approx(1 - found.welch_p)
    assert turned.p_value > 0.7
    scale = np.sqrt((private.var(ddof=1) + test.var(ddof=1)) / 2)
    assert found.difference.value == pytest.approx((private.mean() - test.mean()) / scale)
    assert turned.difference.value == pytest.approx(-found.difference.value)


def test_units_and_the_order_of_samples_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    private, test = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
    first, other = (mean_difference(*s, rng=np.random.default_rng(2)) for s in ((private, test), (private[::-1], test)))
    assert first == other
    scaled = mean_difference(1e6 + 1e3 * private, 1e6 + 1e3 * test, rng=np.random.default_rng(2))
    assert scaled.difference.value == pytest.approx(first.difference.value)
    assert scaled.welch_p == pytest.approx(first.welch_p)


@pytest.mark.parametrize("sizes", [(15, 60), (60, 15), (80, 80)])
def test_at_most_five_in_a_hundred_are_flagged_where_nothing_is_even_with_skewed_scores(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    private, test = skewed(rng, (TRIALS, sizes[0])), skewed(rng, (TRIALS, sizes[1]))
    found = [mean_difference(*sides, rng=rng) for sides in zip(private, test, strict=True)]
    assert within_level(sum(one.p_value <= LEVEL for one in found))
    assert within_level(sum(one.permutation_p <= LEVEL for one in found))
    assert sum(one.permutation_p <= LEVEL for one in found) >= binom.ppf(0.001, TRIALS, LEVEL)


def test_the_published_p_values_flag_far_more_than_they_say() -> None:
    rng = np.random.default_rng(4)
    private, test = rng.normal(size=(300, 60)), rng.normal(size=(300, 60))
    pairs = list(zip(private, test, strict=True))
    halved = np.mean([published_halved_p(*sides) <= LEVEL for sides in pairs])
    resampled = [np.mean([published_resampled_p(*s, rng=rng, subsets=k) <= LEVEL for s in pairs]) for k in (10, 40)]
    assert 0.07 < halved < 0.15
    assert 0.2 < resampled[0] < resampled[1]
    assert resampled[1] > 0.3


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_the_interval_holds_the_standardised_difference(shift: float) -> None:
    rng = np.random.default_rng(5)
    spread = np.array([1.0, 1.5])
    truth = shift / np.sqrt((spread**2).mean())
    held = 0
    for _ in range(400):
        found = mean_difference(rng.normal(shift, spread[0], 40), rng.normal(0, spread[1], 60), rng=rng, permutations=9)
        held += found.difference.interval.contains(truth)
    assert binom.ppf(0.001, 400, 0.95) <= held <= binom.ppf(0.999, 400, 0.95)


def test_what_images_add_whatever_the_encoder_cancels_in_the_paired_difference() -> None:
    rng = np.random.default_rng(6)
    images = [rng.normal(size=200), rng.normal(size=200)]
    suspect = [10 * (image + 0.3 * rng.normal(size=200) + shift) for image, shift in zip(images, (0.3, 0), strict=True)]
    control = [image + 0.3 * rng.normal(size=200) for image in images]
    alone = mean_difference(*suspect, rng=rng)
    paired = paired_mean_difference(suspect, control, rng=rng)
    assert paired.p_value < 0.001
    assert paired.welch_p < alone.welch_p / 1e6
    assert paired.difference.interval.contains(0.3 / np.sqrt(1.09))
    backwards = paired_mean_difference(control, suspect, rng=rng)
    assert backwards.p_value > 0.99


def test_the_paired_test_keeps_its_level_where_both_find_alike() -> None:
    rng = np.random.default_rng(7)
    flagged = 0
    for _ in range(TRIALS // 2):
        images = [rng.normal(shift, 1, 50) for shift in (0.8, 0.0)]
        both = [[image + 0.5 * rng.normal(size=50) for image in images] for _ in range(2)]
        flagged += paired_mean_difference(*both, rng=rng).p_value <= LEVEL
    assert within_level(flagged, TRIALS // 2)


def test_so_many_samples_show_the_detectable_difference_as_often_as_said() -> None:
    wanted = detectable_difference(40, 60)
    found = sum(of(seed, wanted).welch_p <= LEVEL for seed in range(300))
    assert binom.ppf(0.001, 300, 0.8) <= found <= binom.ppf(0.999, 300, 0.8)


def test_scores_that_do_not_vary_are_no_error() -> None:
    rng = np.random.default_rng(8)
    same = mean_difference(np.ones(20), np.ones(20), rng=rng)
    assert (same.difference.value, same.p_value) == (0.0, 1.0)
    apart = mean_difference(np.ones(20), np.zeros(20), rng=rng)
    assert apart.welch_p == 0.0
    assert apart.p_value < 0.001
    assert apart.difference.value > 0
    with pytest.raises(DataError, match="at least two samples"):
        mean_difference([1.0], [0.0, 1.0], rng=rng)
    with pytest.raises(DataError, match="same samples"):
        paired_mean_difference(([1.0, 2.0], [0.0, 1.0]), ([1.0, 2.0], [0.0]), rng=rng)
