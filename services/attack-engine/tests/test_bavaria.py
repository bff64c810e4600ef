import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import polygamma, psi
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from latentprint.attack_engine.attacks.membership.bavaria import bavaria_offline, bavaria_online
from latentprint.attack_engine.attacks.membership.lira import lira_online
from latentprint.attack_engine.evidence.normal_inverse_gamma import NormalInverseGamma
from latentprint.attack_engine.evidence.reference_moments import moments
from latentprint.attack_engine.evidence.student_t import student_log_density, student_log_tail


def drawn(rng: np.random.Generator, samples: int, references: int) -> tuple[np.ndarray, np.ndarray]:
    """Values [K, S] from a normal-inverse-gamma prior: location 3, strength 0.5, shape 4, rate 6."""
    variance = 6 / rng.gamma(4, size=samples)
    mean = rng.normal(3, np.sqrt(variance / 0.5))
    return rng.normal(mean, np.sqrt(variance), size=(references, samples)), mean


def naive_prior(groups: list[list[float]]) -> tuple[float, float, float, float]:
    """m0, k0, a0, b0 from one list of values a sample."""
    d = [len(g) - 1 for g in groups if len(g) > 1]
    s2 = [np.var(g, ddof=1) for g in groups if len(g) > 1]
    e = [
        math.log(max(v, 1e-5 * float(np.median(s2)))) - psi(k / 2) + math.log(k / 2) for v, k in zip(s2, d, strict=True)
    ]
    excess = np.var(e, ddof=1) - np.mean([polygamma(1, k / 2) for k in d])
    a0 = 500.0 if excess <= polygamma(1, 500) else 1.5 if excess >= polygamma(1, 1.5) else brentq(
        lambda a: polygamma(1, a) - excess, 1.5, 500, xtol=1e-13
    )  # fmt: skip
    b0 = a0 * math.exp(np.mean(e) + psi(a0) - math.log(a0))
    means, sizes = [np.mean(g) for g in groups if g], [len(g) for g in groups if g]
    pooled = sum(v * k for v, k in zip(s2, d, strict=True)) / sum(d)
    between = np.var(means, ddof=1) - pooled * np.mean([1 / n for n in sizes])
    return float(np.mean(means)), min(max(pooled / between if between > 0 else 1e3, 1e-3), 1e3), a0, b0


def naive_predictive(values: list[float], prior: tuple[float, float, float, float], predictive: str):
    m0, k0, a0, b0 = prior
    n, m = len(values), float(np.mean(values)) if values else 0.0
    k, mu, a = k0 + n, (k0 * m0 + n * m) / (k0 + n), a0 + n / 2
    b = b0 + sum((x - m) ** 2 for x in values) / 2 + k0 * n * (m - m0) ** 2 / (2 * k)
    if predictive == "t":
        return student(2 * a, mu, math.sqrt(b * (k + 1) / (a * k)))
    return norm(mu, math.sqrt(b / (a - 1)))


@pytest.mark.parametrize("predictive", ["t", "n"])
def test_scores_equal_the_conjugate_formulas_sample_by_sample(predictive: str) -> None:
    rng = np.random.default_rng(0)
    references = np.stack([drawn(rng, 30, 10)[0] for _ in range(2)], axis=-1)  # [K, S, A]
    inside = rng.random((10, 30)) < 0.5
    inside[:, 0] = False  # judged by the prior of IN alone
    phi = rng.normal(3, 2, size=(30, 2))
    online, offline = np.zeros((30, 2)), np.zeros((30, 2))
    for query in range(2):
        groups = {
            side: [[float(references[k, s, query]) for k in range(10) if inside[k, s] == side] for s in range(30)]
            for side in (True, False)
        }
        prior = {side: naive_prior(values) for side, values in groups.items()}
        for s in range(30):
            members, others = (naive_predictive(groups[side][s], prior[side], predictive) for side in (True, False))
            online[s, query] = members.logpdf(phi[s, query]) - others.logpdf(phi[s, query])
            offline[s, query] = -others.logsf(phi[s, query])
    scores = bavaria_online(phi, references, inside, predictive=predictive)
    np.testing.assert_allclose(scores, online.mean(axis=1), rtol=1e-9, atol=1e-10)
    scores = bavaria_offline(phi, references, inside, predictive=predictive)
    np.testing.assert_allclose(scores, offline.mean(axis=1), rtol=1e-9, atol=1e-10)


def test_the_prior_that_samples_were_drawn_from_is_recovered() -> None:
    values, _ = drawn(np.random.default_rng(1), 20_000, 4)
    prior = NormalInverseGamma.prior(moments(values[..., None], np.ones(values.shape, dtype=bool)))
    assert prior.location.item() == pytest.approx(3, abs=0.1)
    assert prior.strength.item() == pytest.approx(0.5, rel=0.1)
    assert prior.shape.item() == pytest.approx(4, rel=0.1)
    assert prior.rate.item() == pytest.approx(6, rel=0.1)


def test_equal_variances_are_seen_to_be_equal_and_a_constant_sample_does_no_harm() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(rng.normal(size=4000) * 5, 2, size=(6, 4000))
    every = np.ones(values.shape, dtype=bool)
    prior = NormalInverseGamma.prior(moments(values[..., None], every))
    assert prior.shape.item() > 20
    assert (prior.rate / prior.shape).item() == pytest.approx(4, rel=0.1)
    values[:, 0] = 69.1
    assert NormalInverseGamma.prior(moments(values[..., None], every)).rate.item() > 1


def test_with_many_references_it_is_lira_and_with_few_it_is_better() -> None:
    rng = np.random.default_rng(3)

    def aucs(references: int) -> tuple[float, float]:
        values, _ = drawn(rng, 4000, references + 1)
        inside = np.argsort(rng.random((references, 4000)), axis=0) < references // 2
        member = rng.random(4000) < 0.5
        values += 2 * np.concatenate([inside, member[None]])
        arguments = (values[-1][:, None], values[:-1, :, None], inside)
        lira, bavaria = lira_online(*arguments), bavaria_online(*arguments)
        return roc_auc_score(member, lira), roc_auc_score(member, bavaria)

    lira, bavaria = aucs(200)
    assert bavaria == pytest.approx(lira, abs=0.003)
    lira, bavaria = aucs(4)
    assert bavaria > lira + 0.05


def test_student_in_log_space_is_exact_and_finite_where_the_probability_is_not() -> None:
    t, freedom = np.meshgrid(np.array([-50, -3, 0, 0.2, 4, 30]), np.array([3.0, 7.5, 60, 1005]))
    np.testing.assert_allclose(student_log_density(t, freedom), student.logpdf(t, freedom), rtol=1e-10)
    np.testing.assert_allclose(student_log_tail(t, freedom), student.logsf(t, freedom), rtol=1e-9, atol=1e-13)
    far = student_log_tail(np.array([40.0, 45.0, 60.0, 1e3, 1e6]), np.array(1005.0))
    steps = np.linspace(0, 40, 400_001)  # -ln of the tail at 60, integrated in log space
    density = student_log_density(60 + steps, np.array(1005.0))
    integral = density[0] + math.log(np.trapezoid(np.exp(density - density[0]), steps))
    assert far[2] == pytest.approx(integral, rel=1e-9)
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()
