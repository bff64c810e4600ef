"""TPR at a FPR, ROC and decision metrics against naive rules, with their intervals' coverage."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from latentprint.attack_engine.statistics.binomial import clopper_pearson
from latentprint.attack_engine.statistics.bootstrap import bootstrap_tpr
from latentprint.attack_engine.statistics.decision import balanced_accuracy, decision_metrics
from latentprint.attack_engine.statistics.rates import tpr_at_fpr, tpr_at_fprs
from latentprint.attack_engine.statistics.roc import roc_curve, score_histogram
from latentprint.attack_engine.statistics.thresholds import false_positives_allowed, threshold_at

SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=15)
TARGETS = st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7, 0.9])


def rng():
    return np.random.default_rng(0)


def naive_tpr(members, non_members, target):
    """Try every threshold."""
    best = 0.0
    for threshold in {*members, *non_members}:
        if np.mean(np.array(non_members) >= threshold) <= target:
            best = max(best, float(np.mean(np.array(members) >= threshold)))
    return best


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, TARGETS)
@example([0], [0, 0, 0, 0], 0.9)  # one score for all: no threshold has the target's FPR
def test_tpr_is_the_best_over_every_threshold_that_keeps_to_the_target(members, non_members, target):
    found = tpr_at_fpr(members, non_members, target, rng=rng(), resamples=20)
    if target < 1 / len(non_members):
        assert not found.resolvable
        assert (found.threshold, found.realised_fpr, found.interval, found.threshold_interval) == (None,) * 4
        return
    assert found.tpr == naive_tpr(members, non_members, target)
    assert found.tpr == np.mean(np.array(members) >= found.threshold)
    assert found.realised_fpr == np.mean(np.array(non_members) >= found.threshold) <= target
    assert found.true_positives == round(found.tpr * len(members))
    assert found.false_positives == round(found.realised_fpr * len(non_members))
    assert np.isfinite(found.threshold)
    for interval in (found.interval, found.threshold_interval):
        assert 0 <= interval.low <= found.tpr <= interval.high <= 1
        assert interval.high > interval.low


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(members, non_members, random):
    first = tpr_at_fprs(members, non_members, (0.1, 0.5), rng=rng(), resamples=30)
    random.shuffle(members)
    random.shuffle(non_members)
    assert tpr_at_fprs(members, non_members, (0.1, 0.5), rng=rng(), resamples=30) == first


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 2999))
def test_allowed_false_positives_survive_rounding(non_members, numerator):
    if numerator >= non_members:
        return
    target = numerator / non_members
    assert false_positives_allowed(target, non_members) == numerator


@pytest.mark.parametrize("target", [0.0, 1.0, 5.0])
def test_a_target_in_percent_is_refused(target):
    with pytest.raises(ValueError, match="fraction"):
        tpr_at_fpr([1.0], [0.0], target, rng=rng())


def test_realised_rate_keeps_to_the_target_where_other_rules_do_not():
    """Three rules for TPR@0.14%FPR on the same scores of 1,250 non-members, where 0.14 % falls between one and two."""
    draw = np.random.default_rng(11)
    beyond = {"ours": 0, "first at or above": 0, "nearest": 0}
    for _ in range(40):
        members, non_members = draw.normal(1, 1, 1000), draw.normal(0, 1, 1250)
        found = tpr_at_fpr(members, non_members, 0.0014, rng=draw, resamples=1)
        thresholds = np.unique(np.r_[members, non_members])[::-1]
        fpr = np.array([np.mean(non_members >= t) for t in thresholds[:200]])
        beyond["ours"] += found.realised_fpr > 0.0014
        beyond["first at or above"] += fpr[np.searchsorted(fpr, 0.0014)] > 0.0014
        beyond["nearest"] += fpr[np.argmin(np.abs(fpr - 0.0014))] > 0.0014
        assert found.realised_fpr == 0.0008
    assert beyond == {"ours": 0, "first at or above": 40, "nearest": 40}


def test_tied_non_members_are_accused_together_or_not_at_all():
    for tied in (2, 5):
        members, non_members = np.r_[np.ones(20), np.zeros(80)], np.r_[np.ones(tied), np.zeros(1000 - tied)]
        found = tpr_at_fpr(members, non_members, 0.001, rng=rng())
        assert (found.tpr, found.false_positives, found.realised_fpr) == (0.0, 0, 0.0)
        assert found.threshold > 1


def test_clopper_pearson_is_exact():
    for successes, trials in ((0, 1), (1, 1), (3, 10), (50, 100)):
        interval = clopper_pearson(successes, trials)
        if successes:
            assert binom.sf(successes - 1, trials, interval.low) == pytest.approx(0.025)
        else:
            assert interval.low == 0
        if successes < trials:
            assert binom.cdf(successes, trials, interval.high) == pytest.approx(0.025)
        else:
            assert interval.high == 1


@pytest.mark.parametrize(("trials", "rate"), [(5, 0.3), (40, 0.02), (100, 0.5), (400, 0.99)])
def test_clopper_pearson_covers_at_least_its_level(trials, rate):
    counts = np.arange(trials + 1)
    covers = [clopper_pearson(int(k), trials).contains(rate) for k in counts]
    assert binom.pmf(counts, trials, rate)[covers].sum() >= 0.95


@pytest.mark.parametrize(("alpha", "samples"), [(0.1, 200), (0.02, 1000), (0.01, 200), (0.001, 1000)])
@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (1.0, 2.0)])
def test_threshold_interval_covers_the_populations_tpr(alpha, samples, shift, spread):
    draw = np.random.default_rng(5)
    truth = norm.sf((norm.isf(alpha) - shift) / spread)
    covered = [
        tpr_at_fpr(
            draw.normal(shift, spread, samples), draw.normal(0, 1, samples), alpha, rng=draw, resamples=400
        ).threshold_interval.contains(truth)
        for _ in range(500)
    ]
    assert np.mean(covered) >= 0.925
    if alpha * samples >= 10:
        assert np.mean(covered) <= 0.985


def test_bootstrap_of_the_threshold_is_the_literal_one():
    """Drawing with replacement and searching each resample gives the same distribution."""
    draw = np.random.default_rng(6)
    members, non_members = np.sort(draw.normal(1, 1, 60).round(1)), np.sort(draw.normal(0, 1, 50).round(1))
    allowed = np.array([0, 3, 12, 50])
    quick = bootstrap_tpr(members, non_members, allowed, rng=draw, resamples=4000)
    literal = np.empty_like(quick)
    for row in range(len(literal)):
        m, n = np.sort(draw.choice(members, 60)), np.sort(draw.choice(non_members, 50))
        literal[row] = [np.mean(m >= threshold_at(m, n, int(k))) for k in allowed]
    np.testing.assert_allclose(quick.mean(0), literal.mean(0), atol=0.012)
    np.testing.assert_allclose(quick.std(0), literal.std(0), atol=0.008)
    np.testing.assert_allclose(
        np.quantile(quick, [0.025, 0.975], 0), np.quantile(literal, [0.025, 0.975], 0), atol=0.04
    )


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, st.integers(-5, 5))
def test_decision_metrics_are_those_of_the_confusion_table(members, non_members, threshold):
    found = decision_metrics([m >= threshold for m in members], [n >= threshold for n in non_members])
    right = sum(m >= threshold for m in members)
    wrong = sum(n >= threshold for n in non_members)
    assert found.recall == right / len(members)
    assert found.balanced_accuracy.value == pytest.approx((right / len(members) + 1 - wrong / len(non_members)) / 2)
    assert found.balanced_accuracy.interval.contains(found.balanced_accuracy.value)
    if right + wrong == 0:
        assert found.precision is None
    else:
        assert found.precision == right / (right + wrong)
    expected_f1 = 0 if right == 0 else 2 * found.precision * found.recall / (found.precision + found.recall)
    assert found.f1 == pytest.approx(expected_f1)


@pytest.mark.parametrize(
    ("tpr", "fpr", "members", "non_members"), [(0.5, 0.5, 50, 50), (0.97, 0.01, 60, 30), (1, 0, 9, 9)]
)
def test_balanced_accuracy_covers_at_least_its_level(tpr, fpr, members, non_members):
    """Exactly, over every pair of counts."""
    right, wrong = np.arange(members + 1), np.arange(non_members + 1)
    weight = np.outer(binom.pmf(right, members, tpr), binom.pmf(wrong, non_members, fpr))
    truth, coverage = (tpr + 1 - fpr) / 2, 0.0
    for i, j in np.argwhere(weight > 1e-9):
        estimate = balanced_accuracy(int(i), members, int(j), non_members)
        assert estimate.interval.high > estimate.interval.low
        coverage += weight[i, j] * estimate.interval.contains(truth)
    assert coverage >= 0.95


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_roc_runs_from_corner_to_corner_and_holds_every_threshold(members, non_members):
    roc = roc_curve(members, non_members, rng=rng(), resamples=20)
    assert (roc.fpr[0], roc.tpr[0]) == (0, 0)
    assert (roc.fpr[-1], roc.tpr[-1]) == (1, 1)
    thresholds = sorted({*members, *non_members}, reverse=True)
    points = [(np.mean(np.array(non_members) >= t), np.mean(np.array(members) >= t)) for t in thresholds]
    assert list(zip(roc.fpr[1:], roc.tpr[1:], strict=True)) == points
    for values in (roc.fpr, roc.tpr, roc.tpr_low, roc.tpr_high):
        assert len(values) == len(roc.fpr)
        assert (np.diff(values) >= 0).all()
    assert all(low < high for low, high in zip(roc.tpr_low, roc.tpr_high, strict=True))


def test_thinned_roc_keeps_the_low_rates():
    draw = np.random.default_rng(7)
    members, non_members = draw.normal(1, 1, 20_000), draw.normal(0, 1, 20_000)
    roc = roc_curve(members, non_members, rng=draw, resamples=100)
    assert len(roc.fpr) <= 400
    held = dict(zip(roc.fpr, roc.tpr, strict=True))
    for k in (1, 2, 3, 5, 10):
        assert held[k / 20_000] == tpr_at_fpr(members, non_members, k / 20_000, rng=draw, resamples=1).tpr
    assert max(np.diff(roc.tpr)) < 0.02


def test_roc_band_covers_pointwise():
    draw = np.random.default_rng(8)
    inside = []
    for _ in range(120):
        roc = roc_curve(draw.normal(1, 1, 100), draw.normal(0, 1, 100), rng=draw, resamples=200)
        at = np.searchsorted(roc.fpr, [0.02, 0.1, 0.3, 0.6])
        fpr, low, high = (np.array(values)[at] for values in (roc.fpr, roc.tpr_low, roc.tpr_high))
        truth = norm.sf(norm.isf(fpr) - 1)
        inside.append((low <= truth) & (truth <= high))
    assert (np.mean(inside, axis=0) >= 0.92).all()


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_histogram_holds_every_score(members, non_members):
    histogram = score_histogram(members, non_members)
    assert sum(histogram.members) == len(members)
    assert sum(histogram.non_members) == len(non_members)
    assert len(histogram.edges) == len(histogram.members) + 1 == len(histogram.non_members) + 1
