"""Augmentations against torchvision's functional, one image at a time, and the independence of samples."""

import inspect
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as oracle

from latentprint.core.errors import UsageError
from latentprint.core.views import augmentations, part_crops
from latentprint.core.views.augmentations import (
    DINO,
    GENERIC,
    MAE,
    MOCO,
    MOCO_WEAK,
    PRESETS,
    RIGID,
    Augmentation,
    apply_draws,
    augment,
    views_for_samples,
)
from latentprint.core.views.blur import gaussian_blur
from latentprint.core.views.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    grayscale,
    solarize,
)
from latentprint.core.views.draws import DRAWS, ViewDraws
from latentprint.core.views.rigid import rotate_translate


def planes(count: int = 8, height: int = 20, width: int = 20, seed: int = 0) -> Tensor:
    """Random images with flat, grey, black and white ones among them, float32 [B, 3, H, W]."""
    images = torch.rand(count, 3, height, width, generator=Generator().manual_seed(seed))
    images[0], images[1], images[2] = 0, 1, images[2, :1]
    return images


def pixels(count: int, side: int = 32) -> Tensor:
    generator = Generator().manual_seed(count)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def amounts(low: float, high: float, count: int = 8) -> Tensor:
    return torch.linspace(low, high, count)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (adjust_brightness, oracle.adjust_brightness, 0.0, 2.0),
        (adjust_contrast, oracle.adjust_contrast, 0.0, 2.0),
        (adjust_saturation, oracle.adjust_saturation, 0.0, 2.0),
        (adjust_hue, oracle.adjust_hue, -0.5, 0.5),
    ],
)
def test_each_change_of_colour_equals_torchvision_per_image(ours, theirs, low: float, high: float) -> None:
    images, factors = planes(), amounts(low, high)
    expected = torch.stack([theirs(image, float(f)) for image, f in zip(images, factors, strict=True)])
    np.testing.assert_allclose(ours(images, factors), expected, rtol=0, atol=2e-5)


def test_jitter_is_the_four_changes_in_order() -> None:
    images, factors, shifts = planes(), amounts(0.5, 1.5), amounts(-0.1, 0.1)
    expected = []
    for image, factor, shift in zip(images, factors.tolist(), shifts.tolist(), strict=True):
        changed = oracle.adjust_brightness(image, factor)
        changed = oracle.adjust_contrast(changed, 2 - factor)
        changed = oracle.adjust_saturation(changed, factor)
        expected.append(oracle.adjust_hue(changed, shift))
    result = color_jitter(images, factors, 2 - factors, factors, shifts)
    np.testing.assert_allclose(result, torch.stack(expected), rtol=0, atol=5e-5)


def test_grayscale_and_solarize_equal_torchvision() -> None:
    images = planes()
    np.testing.assert_allclose(grayscale(images), oracle.rgb_to_grayscale(images, 3), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(solarize(images), oracle.solarize(images, 0.5))


@pytest.mark.parametrize(("size", "kernel"), [((20, 20), 3), ((32, 48), 5), ((64, 64), 7), ((8, 8), 3)])
def test_blur_equals_torchvision_per_image(size: tuple[int, int], kernel: int) -> None:
    images, sigma = planes(8, *size), amounts(0.1, 2.0)
    expected = torch.stack(
        [oracle.gaussian_blur(image, [kernel, kernel], [float(s)] * 2) for image, s in zip(images, sigma, strict=True)]
    )
    np.testing.assert_allclose(gaussian_blur(images, sigma), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(20, 20), (16, 28)])
def test_rotation_and_translation_equal_torchvision_per_image(size: tuple[int, int]) -> None:
    images, degrees = planes(8, *size), amounts(-180, 180)
    moves = np.random.default_rng(0).integers(-5, 6, (8, 2))
    expected = torch.stack(
        [
            oracle.affine(image, angle, move.tolist(), 1.0, [0.0, 0.0], InterpolationMode.BILINEAR)
            for image, angle, move in zip(images, degrees.tolist(), moves, strict=True)
        ]
    )
    shift = torch.from_numpy(moves / [size[1], size[0]]).float()
    np.testing.assert_allclose(rotate_translate(images, degrees, shift), expected, rtol=0, atol=2e-4)


def test_crop_of_the_preset_equals_torchvision_per_image() -> None:
    """Through `augment`'s own draws: crop, scale and flip of each image by itself."""
    images = pixels(16)
    draws = ViewDraws.of(np.random.default_rng(1).random((16, DRAWS)))
    result = apply_draws(images, MAE, draws, 24)
    boxes = augmentations.draw_boxes(draws.box, lambda: draws.retries, (32, 32), MAE.crop_scale, MAE.crop_ratio)
    for image, box, flip, view in zip(images, boxes.tolist(), draws.flip, result, strict=True):
        crop = oracle.resized_crop(
            image.permute(2, 0, 1).double(), *box, [24, 24], InterpolationMode.BICUBIC, antialias=True
        )
        expected = (oracle.hflip(crop) if flip < 0.5 else crop).permute(1, 2, 0).clamp(0, 255)
        assert (view.double() - expected).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("side", [32, 16])
def test_presets_give_pixels_that_follow_the_generator(name: str, side: int) -> None:
    images = pixels(9)
    first, again, other = (augment(images, PRESETS[name], Generator().manual_seed(seed), side) for seed in (5, 5, 6))
    assert first.dtype == torch.uint8
    assert first.shape == (9, side, side, 3)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", PRESETS)
def test_copies_of_one_image_are_augmented_differently(name: str) -> None:
    images = pixels(1).expand(40, -1, -1, -1)
    distinct = np.unique(augment(images, PRESETS[name], Generator().manual_seed(0), 32).reshape(40, -1), axis=0)
    assert len(distinct) > 38


def test_no_crop_from_scale_one_and_nothing_at_all_by_default() -> None:
    images = pixels(50)
    untouched = augment(images, Augmentation(), Generator(), 32)
    assert untouched.data_ptr() == images.data_ptr()
    assert torch.equal(untouched, images)
    flipped = augment(images, replace(MAE, crop_scale=(1.0, 1.0)), Generator().manual_seed(0), 32)
    mirrored = (flipped == images.flip(2)).flatten(1).all(1)
    assert ((flipped == images).flatten(1).all(1) ^ mirrored).all()
    assert 10 < mirrored.sum() < 40


def test_from_scale_one_another_side_is_a_plain_resize() -> None:
    images = pixels(3)
    resized = augment(images, Augmentation(), Generator(), 20)
    expected = oracle.resize(images.permute(0, 3, 1, 2).double(), [20, 20], InterpolationMode.BICUBIC, antialias=True)
    assert (resized.double() - expected.permute(0, 2, 3, 1).clamp(0, 255)).abs().max() <= 0.5 + 1e-4


def test_probabilities_are_the_share_of_images_changed() -> None:
    images = pixels(1, 8).expand(4000, -1, -1, -1)
    for part in ("flip", "grayscale", "blur", "solarize", "jitter"):
        augmentation = Augmentation(brightness=0.4, blur_sigma=(1.0, 2.0), **{f"{part}_probability": 0.3})
        views = augment(images, augmentation, Generator().manual_seed(3), 8)
        changed = int((views != images).flatten(1).any(1).sum())
        assert stats.binomtest(changed, 4000, 0.3).pvalue > 0.001, part


def test_jitter_strength_is_the_range_of_the_factor() -> None:
    images = torch.full((4000, 8, 8, 3), 100, dtype=torch.uint8)
    views = augment(images, Augmentation(jitter_probability=1.0, brightness=0.4), Generator().manual_seed(0), 8)
    factors = views[:, 0, 0, 0].double() / 100
    assert 0.595 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.405
    assert abs(factors.mean() - 1) < 0.01


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)), first=st.integers(1, 5), name=st.sampled_from(sorted(PRESETS)))
def test_views_of_a_sample_do_not_depend_on_its_batch(order: list[int], first: int, name: str) -> None:
    """Bit for bit: permuting samples permutes views, splitting the batch splits them."""
    images, ids = pixels(6), np.array([7, 0, 2**33, 5, 6, 1])
    whole = views_for_samples(images, ids, PRESETS[name], views=3, seed=2)
    assert whole.shape == (6, 3, 32, 32, 3)
    mixed = views_for_samples(images[order], ids[order], PRESETS[name], views=3, seed=2)
    assert torch.equal(mixed, whole[order])
    alone = views_for_samples(images[:first], ids[:first], PRESETS[name], views=3, seed=2)
    assert torch.equal(alone, whole[:first])


def test_views_in_chunks_are_the_same_views(monkeypatch: pytest.MonkeyPatch) -> None:
    images, ids = pixels(6), np.arange(6)
    whole = views_for_samples(images, ids, MOCO, views=4, seed=0)
    monkeypatch.setattr(augmentations, "_CHUNK", 5 * 32 * 32)
    assert torch.equal(views_for_samples(images, ids, MOCO, views=4, seed=0), whole)


def test_fewer_views_are_the_first_of_many_and_seeds_and_ids_matter() -> None:
    images = pixels(4)[:1].expand(4, -1, -1, -1)
    many = views_for_samples(images, np.arange(4), GENERIC, views=8, seed=0)
    assert torch.equal(views_for_samples(images, np.arange(4), GENERIC, views=3, seed=0), many[:, :3])
    assert len(np.unique(many.reshape(32, -1), axis=0)) == 32
    assert not torch.equal(views_for_samples(images, np.arange(4), GENERIC, views=8, seed=1), many)


def test_parts_that_are_off_leave_the_other_draws_alone() -> None:
    images = pixels(5)
    with_color, without = MOCO, replace(MOCO, jitter_probability=0.0, grayscale_probability=0.0)
    gray = [
        views_for_samples(images, np.arange(5), replace(a, blur_probability=0.0), views=4, seed=0)
        for a in (replace(with_color, jitter_probability=0.0, grayscale_probability=0.0), without)
    ]
    assert torch.equal(gray[0], gray[1])
    assert torch.equal(
        views_for_samples(images, np.arange(5), MAE, views=4, seed=0),
        views_for_samples(images, np.arange(5), replace(without, blur_probability=0.0), views=4, seed=0),
    )


@pytest.mark.parametrize("function", [part_crops.draw_part_crops, part_crops.part_crops, augment, views_for_samples])
def test_no_transform_can_know_who_is_a_member(function) -> None:
    """Members and non-members pass the same transform: there is nothing to tell them apart by."""
    known = {"images", "sample_ids", "image_size", "crops", "scale", "ratio", "flip_probability", "seed"}
    known |= {"parameters", "side", "size", "augmentation", "views", "generator", "rows"}
    assert set(inspect.signature(function).parameters) <= known


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip_probability": 1.5},
        {"crop_scale": (0.9, 0.2)},
        {"hue": 0.7},
        {"blur_sigma": (0.0, 1.0)},
        {"rotation": -3.0},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Augmentation(**wrong)


def test_presets() -> None:
    assert set(PRESETS.values()) == {GENERIC, MOCO, MOCO_WEAK, DINO, MAE, RIGID}
    assert Augmentation(crop_scale=(0.2, 1.0), flip_probability=0.5) == MAE


def test_a_batch_of_no_crops_costs_nearly_nothing() -> None:
    images, generator = pixels(128), Generator().manual_seed(0)
    plain, full = replace(MAE, crop_scale=(1.0, 1.0)), MOCO

    def seconds(augmentation: Augmentation) -> float:
        start = time.process_time()
        for _ in range(5):
            augment(images, augmentation, generator, 32)
        return time.process_time() - start

    seconds(full)
    assert min(seconds(plain) for _ in range(3)) < 0.5 * min(seconds(full) for _ in range(3))


def test_the_rows_wanted_change_nothing_of_what_is_drawn() -> None:
    images = pixels(10)
    whole = augment(images, MOCO, Generator().manual_seed(3), 32)
    for rows in (slice(0, 4), slice(4, 10), slice(5, 5)):
        assert torch.equal(augment(images, MOCO, Generator().manual_seed(3), 32, rows), whole[rows])


@pytest.mark.parametrize("name", PRESETS)
def test_views_of_images_that_are_not_square_keep_their_shape(name: str) -> None:
    images = torch.randint(0, 256, (6, 24, 12, 3), dtype=torch.uint8, generator=Generator().manual_seed(1))
    assert views_for_samples(images, np.arange(6), PRESETS[name], views=2, seed=0).shape == (6, 2, 24, 12, 3)
    assert augment(images, PRESETS[name], Generator().manual_seed(0), (24, 12)).shape == (6, 24, 12, 3)


def test_a_crop_of_an_image_that_is_not_square_is_not_distorted() -> None:
    """Its ratio is that of the image, whatever the image's: stripes along either axis stay as wide as before."""
    tall = torch.arange(240, dtype=torch.uint8).view(1, 240, 1, 1).expand(1, 240, 120, 3)
    wide = torch.arange(120, dtype=torch.uint8).view(1, 1, 120, 1).expand(1, 240, 120, 3)
    augmentation = replace(MAE, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0), flip_probability=0.0)
    for image, axis in ((tall, 1), (wide, 2)):
        view = augment(image, augmentation, Generator().manual_seed(0), (240, 120)).float()
        steps = view.amax(dim=(1, 2, 3)) - view.amin(dim=(1, 2, 3))
        assert float(steps) == pytest.approx(image.shape[axis] / 2, abs=3)
