import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.evidence.posterior_metrics import (
    METRICS,
    loss_of_phi,
    posterior_metrics,
    probability_of_phi,
    scaled_logit,
)


def ln(p: float) -> float:
    return math.log(max(p, 1e-30))


def naive_metrics(p: list[float], y: int) -> list[float]:
    """One line per formula, one term per class."""
    mean = sum(p) / len(p)
    modified = -(1 - p[y]) * ln(p[y]) - sum(p[i] * ln(1 - p[i]) for i in range(len(p)) if i != y)
    return [
        -ln(p[y]),
        max(p),
        math.sqrt(sum((q - mean) ** 2 for q in p) / len(p)),
        -sum(q * ln(q) for q in p),
        modified,
    ]


def naive_logit(p: list[float], y: int) -> float:
    return ln(p[y]) - ln(sum(p[i] for i in range(len(p)) if i != y))


@settings(deadline=None)
@given(classes=st.integers(2, 12), seed=st.integers(0, 1000), sharpness=st.sampled_from([0.0, 1.0, 30.0, 1e4]))
def test_metrics_equal_the_formulas_term_by_term(classes: int, seed: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 3, classes)) * sharpness
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p = (p / p.sum(axis=-1, keepdims=True)).astype(np.float32)
    label = rng.integers(classes, size=(4, 3))
    metrics, phi = posterior_metrics(p, label), scaled_logit(p, label)
    assert metrics.shape == (4, 3, len(METRICS))
    for place in np.ndindex(4, 3):
        row, y = [float(q) for q in p[place]], int(label[place])
        np.testing.assert_allclose(metrics[place], naive_metrics(row, y), atol=1e-10, rtol=1e-10)
        assert phi[place] == pytest.approx(naive_logit(row, y), abs=1e-10)


def test_one_label_a_sample_serves_every_snapshot() -> None:
    rng = np.random.default_rng(0)
    p, label = rng.dirichlet(np.ones(4), size=(6, 5)), rng.integers(4, size=5)  # [T, S, C], [S]
    np.testing.assert_array_equal(posterior_metrics(p, label)[2], posterior_metrics(p[2], label))
    np.testing.assert_array_equal(scaled_logit(p, label)[2], scaled_logit(p[2], label))


def test_certain_posteriors_stay_finite() -> None:
    p, label = np.eye(3, dtype=np.float32)[[0, 0]], np.array([0, 1])
    right, wrong = posterior_metrics(p, label)
    np.testing.assert_allclose(right, [0, 1, math.sqrt(2) / 3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(wrong, [-ln(0), 1, math.sqrt(2) / 3, 0, -2 * ln(0)], atol=1e-12)
    np.testing.assert_allclose(scaled_logit(p, label), [-ln(0), ln(0)])


def test_loss_and_probability_follow_from_the_scaled_logit() -> None:
    p, label = np.random.default_rng(1).dirichlet(np.ones(5), size=20), np.arange(20) % 5
    phi, of_label = scaled_logit(p, label), p[np.arange(20), label]
    np.testing.assert_allclose(probability_of_phi(phi), of_label, rtol=1e-10)
    np.testing.assert_allclose(loss_of_phi(phi), -np.log(of_label), rtol=1e-10)
    np.testing.assert_allclose(loss_of_phi(np.array([-1000.0, 60.0])), [1000, math.exp(-60)], rtol=1e-10)


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="labels from 0 to 3 for posteriors of 3 classes"):
        posterior_metrics(np.full((2, 3), 1 / 3), np.array([0, 3]))
