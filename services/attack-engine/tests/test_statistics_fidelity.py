"""Fidelity of embeddings: bounds, definitions, the neighbour estimate against a known value, and coverage."""

import numpy as np
import pytest

from latentprint.attack_engine.statistics.fidelity import (
    Fidelity,
    fidelity,
    information_terms,
    principal_components,
)
from latentprint.core.errors import UsageError


def drawn(count: int = 200, width: int = 12, seed: int = 0) -> np.ndarray:
    """Embeddings of a few strong directions, as encoders have them."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) * 2.0 ** -np.arange(width) @ rng.normal(size=(width, width)) + 3


def scores(victim: np.ndarray, suspect: np.ndarray) -> Fidelity:
    return fidelity(victim, suspect, rng=np.random.default_rng(1))


def test_the_victim_itself_scores_one_whatever_its_scale() -> None:
    victim = drawn()
    found = scores(victim, 5 * victim - 2)
    for estimate in (found.cosine, found.l2, found.mutual_information):
        assert estimate.value == pytest.approx(1)
        assert estimate.interval.low <= estimate.value + 1e-9
    assert found.images == 200


def test_an_encoder_that_knows_nothing_scores_the_lower_bounds() -> None:
    found = scores(drawn(seed=0), drawn(seed=7))
    assert abs(found.cosine.value) < 0.1
    assert found.l2.value == pytest.approx(1 - np.sqrt(2) / 2, abs=0.03)
    assert found.mutual_information.interval.contains(0)


def test_scores_are_their_definitions() -> None:
    victim = drawn(30, 3)
    suspect = victim + drawn(30, 3, seed=2)
    rows = []
    for one, other in zip(*[(m - m.mean(0)) / m.std(0) for m in (victim, suspect)], strict=True):
        one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
        rows.append((one @ other, np.linalg.norm(one - other)))
    cosines, distances = np.transpose(rows)
    found = scores(victim, suspect)
    assert found.cosine.value == pytest.approx(cosines.mean())
    assert found.l2.value == pytest.approx(1 - distances.mean() / 2)


def test_a_permutation_is_seen_by_the_coordinates_and_not_by_the_information() -> None:
    victim = drawn()
    found = scores(victim, victim[:, np.random.default_rng(3).permutation(victim.shape[1])])
    assert found.cosine.value < 0.8
    assert found.mutual_information.value == pytest.approx(1, abs=1e-6)


def test_scores_fall_with_noise() -> None:
    victim, noise = drawn(), drawn(seed=5)
    found = [scores(victim, victim + share * noise) for share in (0.1, 0.5, 2.0)]
    for name in ("cosine", "l2", "mutual_information"):
        values = [getattr(one, name).value for one in found]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1] + 0.1


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_the_information_of_gaussians_is_the_known_one(correlation: float) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(2000, 1))
    other = correlation * one + np.sqrt(1 - correlation**2) * rng.normal(size=one.shape)
    assert information_terms(one, other).mean() == pytest.approx(-0.5 * np.log(1 - correlation**2), abs=0.06)


def test_the_terms_are_counts_of_neighbours() -> None:
    from scipy.special import digamma

    one, other = (np.random.default_rng(seed).normal(size=(40, 2)) for seed in (0, 1))
    far = [np.abs(part[:, None] - part[None]).max(axis=2) for part in (one, other)]
    expected = []
    for i in range(40):
        reach = np.sort(np.maximum(far[0][i], far[1][i]))[3]
        counts = [(np.delete(distances[i], i) < reach).sum() for distances in far]
        expected.append(digamma(3) + digamma(40) - sum(digamma(count + 1) for count in counts))
    np.testing.assert_allclose(information_terms(one, other), expected)


def test_principal_components_hold_what_varies_most() -> None:
    embeddings = drawn(100, 6)
    components = principal_components(embeddings, 3)
    np.testing.assert_allclose(components.T @ components / 100, np.eye(3), atol=1e-9)
    assert principal_components(np.ones((10, 3)) * np.arange(10)[:, None]).shape == (10, 1)


def test_intervals_hold_the_value_of_many_images() -> None:
    whole, noise = drawn(20_000, 5), drawn(20_000, 5, seed=1)
    truth = fidelity(whole[:2000], (whole + noise)[:2000], rng=np.random.default_rng(0), resamples=2)
    rng, held = np.random.default_rng(2), np.zeros(2)
    for _ in range(60):
        rows = rng.choice(20_000, 60, replace=False)
        found = fidelity(whole[rows], (whole + noise)[rows], rng=rng, resamples=200)
        held += [found.cosine.interval.contains(truth.cosine.value), found.l2.interval.contains(truth.l2.value)]
    assert (held >= 52).all(), held  # of 57 expected, within the binomial's error


def test_other_shapes_and_too_few_images_are_refused() -> None:
    for one, other in ((drawn(30, 3), drawn(30, 4)), (drawn(19, 3), drawn(19, 3))):
        with pytest.raises(UsageError, match="at least 20, and of one width"):
            scores(one, other)


def test_a_collapsed_suspect_scores_nothing() -> None:
    found = scores(drawn(), np.ones((200, 12)))
    assert found.cosine.value == 0
    assert found.mutual_information.value == 0
