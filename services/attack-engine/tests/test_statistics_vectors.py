"""The blind baseline, the split test and the exposed samples of vectors."""

import numpy as np
import pytest

from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.questions.membership.exposure import exposed
from latentprint.attack_engine.statistics.blind import blind_baseline
from latentprint.attack_engine.statistics.sample_features import sample_features
from latentprint.attack_engine.statistics.split_test import split_test
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import EVALUATION, Split


def bits(count, seed, features=60, chance=0.2):
    return (np.random.default_rng(seed).random((count, features)) < chance).astype(np.float32)


def test_vectors_drawn_alike_are_not_told_apart():
    rng = np.random.default_rng(0)
    rejected = 0
    for seed in range(10):
        members, others = bits(80, 2 * seed), bits(120, 2 * seed + 1)
        rejected += blind_baseline(members, others, rng=rng, permutations=200).baseline.above_chance
        rejected += split_test(members, others, rng=rng, permutations=200).rejects
    assert rejected <= 4


def radial(count, seed):
    """Vectors whose mean is that of `bits` and whose pairs of features agree, which no linear rule sees."""
    half = bits(count, seed, features=30)
    return np.concatenate([half, half], axis=1)


@pytest.mark.parametrize("planted", ["mean", "number", "pairs"])
def test_vectors_drawn_unlike_are_told_apart(planted):
    members = {"mean": bits(200, 1), "number": bits(200, 1, chance=0.3), "pairs": radial(200, 1)}[planted]
    if planted == "mean":
        members[:, :3] = 1.0
    rng = np.random.default_rng(0)
    assert split_test(members, bits(200, 2), rng=rng).rejects
    if planted != "pairs":
        blind = blind_baseline(members, bits(200, 2), rng=rng)
        assert blind.baseline.above_chance
        assert blind.baseline.features.startswith("the features themselves")


def test_features_of_a_vector_depend_on_no_other():
    for count in (60, 1500):
        vectors = bits(5, 0, features=count)
        for whole, alone in zip(sample_features(vectors), sample_features(vectors[2:3]), strict=True):
            np.testing.assert_allclose(whole[2:3], alone, rtol=1e-5, atol=1e-6)


def test_long_vectors_are_projected_so_that_distances_stay():
    vectors = bits(12, 0, features=5000)
    projected, _ = sample_features(vectors)
    assert projected.shape == (12, 1024)
    before, after = (
        np.linalg.norm(x[:, None] - x[None], axis=2)[~np.eye(12, dtype=bool)] for x in (vectors, projected)
    )
    np.testing.assert_allclose(after, before, rtol=0.15)


def test_exposed_vectors_have_no_thumbnail():
    dataset = DatasetSpec("baskets", {"count": 20}).open()
    split = Split(np.arange(20), np.arange(20) < 10, np.full(20, EVALUATION), dataset.digest, 0)
    scored = Scored(np.arange(20), np.arange(20) < 10, np.linspace(1, 0, 20), 0.5)
    most, least = exposed(scored, dataset, split, count=3)
    assert [sample.image for sample in (*most, *least)] == [""] * 6
    assert [sample.sample_id for sample in most] == [0, 1, 2]
