import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from latentprint.attack_engine.evidence.energies import (
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)


def naive_energies(parts: np.ndarray, feature_map: np.ndarray, references: np.ndarray) -> tuple[list, list]:
    """One loop per symbol of the method's formulas."""
    uniform, gaussian = [], []
    for q, g in zip(parts, references, strict=True):
        s = np.array([np.dot(q, f) for f in feature_map], dtype=np.float64)
        p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        u = 1 / len(p)
        uniform.append(sum(u * (np.log(u) - np.log(pj)) for pj in p))
        gaussian.append(sum(gj * (np.log(gj) - np.log(pj)) for gj, pj in zip(g, p, strict=True)))
    return uniform, gaussian


@pytest.mark.parametrize(("crops", "locations", "width"), [(1, 1, 3), (4, 16, 8), (7, 5, 2)])
def test_energies_equal_the_formulas_symbol_by_symbol(crops: int, locations: int, width: int) -> None:
    rng = np.random.default_rng(1)
    parts, maps = rng.normal(size=(3, crops, width)), rng.normal(size=(3, locations, width))
    references = gaussian_references(crops, locations, rng)
    response = log_responses(parts, maps)
    for b in range(3):
        uniform, gaussian = naive_energies(parts[b], maps[b], references)
        np.testing.assert_allclose(uniform_energy(response)[b], uniform, atol=1e-12)
        np.testing.assert_allclose(gaussian_energy(response, references)[b], gaussian, atol=1e-12)


def test_references_are_the_fitted_density_of_sorted_normal_draws() -> None:
    references = gaussian_references(5, 16, np.random.default_rng(3))
    draws = np.sort(np.random.default_rng(3).standard_normal((5, 16)), axis=1)
    for row, z in zip(references, draws, strict=True):
        density = norm.pdf(z, z.mean(), z.std())
        np.testing.assert_allclose(row, density / density.sum(), rtol=1e-12)


@settings(deadline=None)
@given(scale=st.floats(1e-30, 1e30), seed=st.integers(0, 100), cosine=st.booleans())
def test_energies_are_finite_and_non_negative_whatever_the_scale(scale: float, seed: int, cosine: bool) -> None:
    rng = np.random.default_rng(seed)
    parts = (rng.normal(size=(2, 3, 4)) * scale).astype(np.float32)
    maps = (rng.normal(size=(2, 5, 4)) * scale).astype(np.float32)
    response = log_responses(parts, maps, cosine=cosine)
    references = gaussian_references(3, 5, rng)
    for energy in (uniform_energy(response), gaussian_energy(response, references)):
        assert np.isfinite(energy).all()
        assert (energy >= -1e-9).all()


def test_cosine_ignores_length_and_the_dot_product_does_not() -> None:
    rng = np.random.default_rng(0)
    parts, maps = rng.normal(size=(1, 2, 4)), rng.normal(size=(1, 6, 4))
    np.testing.assert_allclose(log_responses(5 * parts, maps, cosine=True), log_responses(parts, maps, cosine=True))
    assert not np.allclose(log_responses(5 * parts, maps), log_responses(parts, maps))
    assert np.isfinite(log_responses(np.zeros_like(parts), maps, cosine=True)).all()
