"""The usage estimate: coverage by simulation, refusals, and the calibrated probability of one candidate."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm

from latentprint.attack_engine.statistics.calibration import Calibration, conformal_p_values
from latentprint.attack_engine.statistics.estimates import Usage
from latentprint.attack_engine.statistics.usage import CalledScores, estimate_usage
from latentprint.core.errors import DataError

DRAWS = 200
EXTREME = 1e-4  # two-sided, of a number of covering intervals, where coverage lies in the bounds that it is held to


def group(rng: np.random.Generator, shift: float, members: int, non_members: int) -> CalledScores:
    score = np.concatenate([rng.normal(shift, 1, members), rng.normal(size=non_members)])
    return CalledScores(score, score >= shift / 2)


def drawn(
    rng: np.random.Generator, *, auc: float, used: int, candidates: int = 100, known: tuple[int, int] = (100, 100)
) -> Usage:
    shift = float(norm.ppf(auc) * np.sqrt(2))
    groups = ((used, candidates - used), (known[0], 0), (0, known[1]))
    return estimate_usage(*(group(rng, shift, *sizes) for sizes in groups))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("auc", "known"), [(0.8, (100, 100)), (0.95, (60, 120))])
def test_intervals_hold_the_share_as_often_as_they_say(share: float, auc: float, known: tuple[int, int]) -> None:
    rng = np.random.default_rng(round(100 * (share + auc)))
    found = [drawn(rng, auc=auc, used=round(100 * share), known=known) for _ in range(DRAWS)]
    for name in ("debiased", "likelihood"):
        estimates = [getattr(one, name) for one in found if not one.refused]
        assert len(estimates) > 0.98 * DRAWS
        held = sum(one.interval.contains(share) for one in estimates)
        assert binom.ppf(EXTREME, len(estimates), 0.92) <= held <= binom.isf(EXTREME, len(estimates), 0.98)
        assert all(one.interval.contains(one.value) for one in estimates)


def test_the_debiased_estimate_is_the_corrected_count() -> None:
    members = CalledScores(np.arange(40.0), np.arange(40) < 30)  # TPR 0.75
    others = CalledScores(np.arange(50.0), np.arange(50) < 10)  # FPR 0.2
    asked = CalledScores(np.arange(100.0), np.arange(100) < 42)
    found = estimate_usage(asked, members, others)
    assert found.debiased.value == pytest.approx((0.42 - 0.2) / (0.75 - 0.2))
    assert found.gap.value == pytest.approx(0.55)
    assert estimate_usage(replace(asked, called=np.zeros(100, bool)), members, others).debiased.value == 0
    assert estimate_usage(replace(asked, called=np.ones(100, bool)), members, others).debiased.value == 1


def test_the_likelihood_needs_fewer_candidates_than_the_decisions() -> None:
    rng = np.random.default_rng(1)
    found = [drawn(rng, auc=0.8, used=50) for _ in range(100)]
    widths = [[one.interval.high - one.interval.low for one in (f.debiased, f.likelihood)] for f in found]
    assert np.mean(widths, axis=0)[1] < 0.9 * np.mean(widths, axis=0)[0]


def test_an_attack_that_cannot_tell_is_refused_with_its_reason() -> None:
    rng = np.random.default_rng(2)
    refused = [drawn(rng, auc=0.5, used=50) for _ in range(200)]
    assert np.mean([bool(one.refused) for one in refused]) > 0.94
    one = next(one for one in refused if one.refused)
    assert one.debiased is None is one.likelihood is one.needed
    assert "which is not shown to be above 0" in one.refused
    assert "separates" not in one.refused


def test_too_few_candidates_are_refused_with_the_number_that_it_takes() -> None:
    few = drawn(np.random.default_rng(3), auc=0.7, used=10, candidates=20, known=(300, 300))
    assert few.needed > 20
    assert few.refused == (
        f"20 candidates are too few: with this attack and these known samples it takes {few.needed}."
    )
    enough = drawn(np.random.default_rng(3), auc=0.7, used=10, candidates=few.needed + 30, known=(300, 300))
    assert not enough.refused
    assert drawn(np.random.default_rng(3), auc=0.99, used=5, candidates=10).needed == 20


def test_too_few_known_samples_are_refused_whatever_the_candidates() -> None:
    members, others = CalledScores(np.zeros(12), np.arange(12) < 3), CalledScores(np.zeros(200), np.arange(200) < 2)
    found = estimate_usage(CalledScores(np.zeros(10_000), np.arange(10_000) < 4000), members, others)
    assert found.needed is None
    assert "no number of candidates suffices" in found.refused


def test_a_perfect_attack_leaves_a_narrow_interval_and_not_none() -> None:
    members, others = CalledScores(np.ones(500), np.ones(500, bool)), CalledScores(np.zeros(500), np.zeros(500, bool))
    asked = np.arange(3000) < 1000
    for one in (lambda found: found.debiased, lambda found: found.likelihood):
        estimate = one(estimate_usage(CalledScores(asked.astype(float), asked), members, others))
        assert estimate.value == pytest.approx(1 / 3)
        assert 0 < estimate.interval.high - estimate.interval.low < 0.02


def test_scores_that_are_none_are_refused() -> None:
    one = CalledScores(np.zeros(20), np.zeros(20, bool))
    with pytest.raises(DataError, match="no scores of candidates"):
        estimate_usage(CalledScores([], []), one, one)
    with pytest.raises(DataError, match="not finite"):
        estimate_usage(one, CalledScores([np.nan], [True]), one)


def test_probabilities_are_shares_of_members_where_both_sides_are_as_many() -> None:
    rng = np.random.default_rng(4)
    calibration = Calibration.of(rng.normal(1.2, 1, 300), rng.normal(size=200))
    score = np.concatenate([rng.normal(1.2, 1, 20_000), rng.normal(size=20_000)])
    probability, member = calibration.probability(score), np.arange(40_000) < 20_000
    for low in np.arange(0.1, 0.9, 0.2):
        rows = (low <= probability) & (probability < low + 0.2)
        assert member[rows].mean() == pytest.approx(probability[rows].mean(), abs=0.06)
    np.testing.assert_allclose(calibration.ratio(score), probability / (1 - probability))


def test_complete_separation_gives_no_certainty_and_equal_scores_give_one_half() -> None:
    apart = Calibration.of(np.arange(30) + 100.0, np.arange(20.0))
    np.testing.assert_allclose(apart.probability([1e9, -1e9]), [31 / 32, 1 / 22])
    np.testing.assert_allclose(Calibration.of(np.zeros(30), np.zeros(30)).probability([0.0, 0.0]), 0.5, atol=1e-6)


def test_a_higher_score_is_never_a_sign_against_membership() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(-2, 1, 30), rng.normal(0, 1, 20)
    backwards = Calibration.of(low, high)
    np.testing.assert_allclose(backwards.probability([-9, 0, 9]), 0.5, atol=0.01)
    assert (np.diff(Calibration.of(high, low).probability(np.linspace(-3, 3, 50))) >= 0).all()


def test_conformal_p_values_count_the_non_members_that_score_as_high() -> None:
    np.testing.assert_allclose(conformal_p_values([5, 2, 2.5, -1], [1, 2, 3, 4]), [1 / 5, 4 / 5, 3 / 5, 1])
    rng = np.random.default_rng(5)
    p_values = np.concatenate([conformal_p_values(rng.normal(size=50), rng.normal(size=99)) for _ in range(200)])
    assert np.mean(p_values <= 0.05) == pytest.approx(0.05, abs=0.01)
