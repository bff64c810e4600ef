"""Blind baseline and split test: silent where images are drawn alike, loud where they are not."""

import numpy as np
import pytest
from scipy.stats import kstest

from latentprint.attack_engine.statistics import blind as blind_module
from latentprint.attack_engine.statistics.blind import blind_baseline
from latentprint.attack_engine.statistics.image_features import image_features, standardised
from latentprint.attack_engine.statistics.split_test import split_test
from latentprint.core.errors import DataError


def scenes(rng, count, side=16):
    """Smooth coloured blobs with grain: neighbouring pixels alike, images unlike."""
    coarse = rng.uniform(0, 255, (count, 4, 4, 3)).repeat(side // 4, axis=1).repeat(side // 4, axis=2)
    return np.clip(coarse + rng.normal(0, 10, (count, side, side, 3)), 0, 255).astype(np.uint8)


def blurred(images):
    x = images.astype(float)
    return ((x + np.roll(x, 1, axis=1) + np.roll(x, 1, axis=2)) / 3).astype(np.uint8)


def brighter(images):
    return np.clip(images.astype(int) + 25, 0, 255).astype(np.uint8)


def mirrored_shade(images):
    """Darker on the left: nothing that a mean over the image shows."""
    shade = np.linspace(-25, 25, images.shape[2])[:, None]
    return np.clip(images + shade, 0, 255).astype(np.uint8)


def test_blind_baseline_keeps_its_level_where_images_are_alike():
    rng = np.random.default_rng(0)
    draws, above, excluded, values = 300, 0, 0, []
    for _ in range(draws):
        found = blind_baseline(scenes(rng, 20, 8), scenes(rng, 20, 8), rng=rng, permutations=79).baseline
        above += found.above_chance
        excluded += not found.auc.interval.contains(0.5)
        values.append(found.auc.value)
    assert above / draws <= 0.05
    assert excluded / draws <= 0.08
    assert abs(np.mean(values) - 0.5) < 3 * np.std(values) / draws**0.5


def test_split_test_p_values_are_uniform_where_images_are_alike():
    rng = np.random.default_rng(1)
    p_values = [
        split_test(scenes(rng, 20, 8), scenes(rng, 15, 8), rng=rng, permutations=99).p_value for _ in range(300)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) <= 0.08


@pytest.mark.parametrize("change", [blurred, brighter, mirrored_shade])
def test_a_split_whose_sides_differ_is_told(change):
    rng = np.random.default_rng(2)
    members, non_members = change(scenes(rng, 100)), scenes(rng, 100)
    found = blind_baseline(members, non_members, rng=rng, permutations=99)
    assert found.baseline.above_chance
    assert found.baseline.auc.value > 0.65
    test = split_test(members, non_members, rng=rng, permutations=99)
    assert test.rejects
    assert test.p_value == pytest.approx(0.01)
    # The scores belong to the images in the order given.
    pairs = found.member_scores[:, None] > found.non_member_scores[None, :]
    assert pairs.mean() == pytest.approx(found.baseline.auc.value, abs=0.05)


def test_exchanged_sides_mirror_the_baseline_and_seeds_repeat_it():
    rng = np.random.default_rng(3)
    members, non_members = brighter(scenes(rng, 40)), scenes(rng, 40)
    first = blind_baseline(members, non_members, rng=np.random.default_rng(9), permutations=19)
    again = blind_baseline(members, non_members, rng=np.random.default_rng(9), permutations=19)
    assert first.baseline == again.baseline
    np.testing.assert_array_equal(first.member_scores, again.member_scores)


def test_both_ways_to_the_ridge_solution_agree():
    rng = np.random.default_rng(4)
    features, held_out = rng.normal(size=(30, 31)), rng.normal(size=(5, 31))
    labels = rng.random((30, 3)) < 0.5
    dual = blind_module._fit(features, labels, 0.7, held_out)
    wide = np.concatenate([features[:, :31], np.zeros((30, 0))], axis=1)
    primal = held_out @ np.linalg.solve(wide.T @ wide + 0.7 * np.eye(31), wide.T @ (labels - labels.mean(0)))
    np.testing.assert_allclose(dual, primal, atol=1e-8)
    few = rng.normal(size=(30, 4))
    expected = few[:5] @ np.linalg.solve(few.T @ few + 0.7 * np.eye(4), few.T @ (labels - labels.mean(0)))
    np.testing.assert_allclose(blind_module._fit(few, labels, 0.7, few[:5]), expected, atol=1e-8)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 9), (8, 8), (33, 50), (224, 224)])
def test_features_are_finite_and_belong_to_the_image_alone(shape):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (5, *shape, 3), dtype=np.uint8)
    images[0] = 0
    images[1] = 255
    for whole, alone in zip(image_features(images), image_features(images[2:3]), strict=True):
        assert np.isfinite(whole).all()
        np.testing.assert_allclose(whole[2], alone[0], atol=1e-12)
        assert np.isfinite(standardised(whole)).all()
    pixels, _ = image_features(images)
    np.testing.assert_allclose(pixels[:, 0].reshape(5), pixels[:, 0])
    if shape == (8, 8):
        np.testing.assert_allclose(pixels, images.reshape(5, -1) / 255)


def test_equal_images_give_no_evidence():
    images = np.full((10, 8, 8, 3), 7, dtype=np.uint8)
    rng = np.random.default_rng(6)
    assert not blind_baseline(images, images, rng=rng, permutations=39).baseline.above_chance
    assert split_test(images, images, rng=rng, permutations=39).p_value == 1.0


def test_many_images_are_sampled_down():
    rng = np.random.default_rng(7)
    test = split_test(brighter(scenes(rng, 120, 8)), scenes(rng, 60, 8), rng=rng, permutations=99, most=50)
    assert test.rejects


def test_too_few_images_are_refused():
    images = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    for judge in (blind_baseline, split_test):
        with pytest.raises(DataError, match="two samples"):
            judge(images[:1], images, rng=np.random.default_rng(0))


def albums(rng, users, images):
    """Images of users, those of one user nearly alike; and whose they are."""
    users_scenes = scenes(rng, users, 8).repeat(images, axis=0).astype(int)
    grain = rng.normal(0, 5, users_scenes.shape)
    return np.clip(users_scenes + grain, 0, 255).astype(np.uint8), np.arange(users).repeat(images)


@pytest.mark.parametrize("by_unit", [True, False])
def test_users_images_are_judged_by_user_or_else_alike_ones_look_told_apart(by_unit):
    rng = np.random.default_rng(11)
    draws, p_values, above = 100, [], 0
    for _ in range(draws):
        (members, of_member), (others, of_other) = albums(rng, 12, 5), albums(rng, 12, 5)
        units = (of_member, 100 + of_other) if by_unit else None
        p_values.append(split_test(members, others, rng=rng, units=units, permutations=39).p_value)
        above += blind_baseline(members, others, rng=rng, units=units, permutations=39).baseline.above_chance
    rejected = np.mean(np.array(p_values) <= 0.05)
    if by_unit:
        assert max(rejected, above / draws) <= 0.12  # 5 %, and three standard errors of 100 draws
    else:
        assert min(rejected, above / draws) >= 0.5


def test_samples_that_are_units_by_themselves_are_judged_the_same_whatever_their_names():
    rng = np.random.default_rng(12)
    members, others = brighter(scenes(rng, 30, 8)), scenes(rng, 20, 8)
    names = rng.permutation(1000)[:50]
    for judge in (blind_baseline, split_test):
        plain = judge(members, others, rng=np.random.default_rng(1), permutations=19)
        named = judge(members, others, rng=np.random.default_rng(1), permutations=19, units=(names[:30], names[30:]))
        assert repr(plain) == repr(named)


def test_a_unit_on_both_sides_is_refused_by_name():
    images = scenes(np.random.default_rng(13), 4, 8)
    units = np.array([3, 3, 4, 5]), np.array([5, 6, 6, 7])
    with pytest.raises(DataError, match="the unit 5 has samples on both sides"):
        split_test(images, images, rng=np.random.default_rng(0), units=units)
