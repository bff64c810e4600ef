"""What the samples can show, as promised before an audit, against what is then found."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.binomial import lower_limit, upper_limit
from latentprint.attack_engine.statistics.paired import paired_difference
from latentprint.attack_engine.statistics.power import (
    assess_power,
    detectable_auc,
    non_members_to_resolve,
    power_warnings,
    samples_to_show,
)
from latentprint.attack_engine.statistics.thresholds import false_positives_allowed


@pytest.mark.parametrize(("members", "non_members"), [(30, 30), (100, 100), (200, 50), (1000, 1000)])
def test_the_detectable_auc_is_found_four_times_in_five(members, non_members):
    rng = np.random.default_rng(0)
    shift = norm.ppf(detectable_auc(members, non_members)) * 2**0.5
    found = [
        estimate_auc(rng.normal(shift, 1, members), rng.normal(0, 1, non_members)).interval.low > 0.5
        for _ in range(600)
    ]
    assert 0.74 <= np.mean(found) <= 0.87


@pytest.mark.parametrize("controls", [1, 3])
def test_the_detectable_auc_is_found_beside_controls_four_times_in_five(controls):
    auc = detectable_auc(100, 150, controls=controls)
    assert auc > detectable_auc(100, 150)
    rng, shift, found = np.random.default_rng(1), norm.ppf(auc) * 2**0.5, []
    for _ in range(400):
        attack = rng.normal(shift, 1, 100), rng.normal(0, 1, 150)
        beside = [(rng.normal(0, 1, 100), rng.normal(0, 1, 150)) for _ in range(controls)]
        differences = [paired_difference("c", attack, one, false_positives=None, rng=rng) for one in beside]
        above = estimate_auc(*attack).interval.low > 0.5
        found.append(above and all(one.p_above <= 0.025 for one in differences))
    assert 0.73 <= np.mean(found) <= 0.87


def test_more_samples_detect_less_and_too_few_nothing():
    values = [detectable_auc(n, n) for n in (1, 2, 5, 20, 100, 1000, 100_000)]
    assert values[:2] == [1.0, 1.0]
    assert (np.diff(values[1:]) < 0).all()
    assert values[-1] < 0.505


@pytest.mark.parametrize("target", [0.5, 0.1, 1 / 3, 0.07, 0.01, 0.001, 0.0007, 1e-5])
def test_non_members_to_resolve_is_the_fewest(target):
    needed = non_members_to_resolve(target)
    assert false_positives_allowed(target, needed) >= 1
    assert false_positives_allowed(target, needed - 1) == 0


@pytest.mark.parametrize(("tpr", "fpr"), [(0.3, 0.1), (0.05, 0.01), (0.005, 0.001)])
def test_samples_to_show_do_show(tpr, fpr):
    samples = samples_to_show(tpr, fpr)
    wrong = false_positives_allowed(fpr, samples)
    right = np.arange(samples + 1)
    proves = lower_limit(right, samples, 0.025) > upper_limit(wrong, samples, 0.025)
    assert binom.pmf(right, samples, tpr)[proves].sum() >= 0.8
    assert samples_to_show(tpr * 1.5, fpr) <= samples


def test_a_rate_at_chance_cannot_be_shown():
    with pytest.raises(ValueError, match="not above chance"):
        samples_to_show(0.01, 0.01)


def test_power_names_the_lowest_target():
    power = assess_power(100, 400, (0.01, 0.001))
    assert (power.members, power.non_members, power.target_fpr) == (100, 400, 0.001)
    assert power.non_members_to_resolve == 1000


def test_warnings_say_what_cannot_be_resolved_and_are_silent_otherwise():
    few = power_warnings(10, 10, (0.01, 0.001))
    assert [needed in sentence for needed, sentence in zip(("100", "1,000"), few, strict=False)] == [True, True]
    assert "AUC" in few[2]
    assert power_warnings(1000, 1000, (0.01, 0.001)) == ()
