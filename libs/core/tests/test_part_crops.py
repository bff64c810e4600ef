"""Part crops against a slow oracle, one crop at a time, and their draws against the distribution they claim."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as oracle

from latentprint.core.errors import UsageError
from latentprint.core.views.part_crops import PartCropParameters, draw_part_crops, part_crops, part_crops_float


def random_images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


def slow_part_crops(images: torch.Tensor, parameters: PartCropParameters, side: int) -> torch.Tensor:
    """Each crop by itself: torchvision's resized_crop on float pixels, then its hflip."""
    rows = []
    for image, boxes, flips in zip(images, parameters.boxes, parameters.flips, strict=True):
        planes = image.permute(2, 0, 1).double()
        for (top, left, height, width), flip in zip(boxes.tolist(), flips.tolist(), strict=True):
            crop = oracle.resized_crop(
                planes, top, left, height, width, [side, side], InterpolationMode.BICUBIC, antialias=True
            )
            rows.append((oracle.hflip(crop) if flip else crop).permute(1, 2, 0))
    return torch.stack(rows).view(*parameters.flips.shape, side, side, 3)


@pytest.mark.parametrize(
    ("size", "side", "scale"),
    [
        ((32, 32), 16, (0.08, 0.2)),
        ((64, 64), 16, (0.08, 0.2)),
        ((96, 96), 24, (0.08, 0.2)),
        ((32, 32), 48, (0.08, 1.0)),
        ((96, 96), 7, (0.2, 1.0)),
        ((40, 72), 16, (0.01, 0.9)),
    ],
)
def test_equal_to_the_oracle_before_rounding(size: tuple[int, int], side: int, scale: tuple[float, float]) -> None:
    images = random_images(3, *size)
    parameters = draw_part_crops(np.arange(3), size, crops=24, scale=scale, seed=1)
    expected = slow_part_crops(images, parameters, side)
    np.testing.assert_allclose(part_crops_float(images, parameters, side), expected, rtol=0, atol=1e-4)
    rounded = part_crops(images, parameters, side)
    assert rounded.dtype == torch.uint8
    assert (rounded.double() - expected.clamp(0, 255)).abs().max() <= 0.5 + 1e-4


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equal_to_the_oracle_for_any_box(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    box_height, box_width = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    top, left = data.draw(st.integers(0, height - box_height)), data.draw(st.integers(0, width - box_width))
    side = data.draw(st.integers(1, 40))
    images = random_images(1, height, width, seed=side)
    parameters = PartCropParameters(
        np.array([[[top, left, box_height, box_width]]]),
        np.array([[data.draw(st.booleans())]]),
        (data.draw(st.integers(box_height, height)), data.draw(st.integers(box_width, width))),
    )
    expected = slow_part_crops(images, parameters, side)
    np.testing.assert_allclose(part_crops_float(images, parameters, side), expected, rtol=0, atol=1e-4)


def test_nothing_outside_a_box_shows_in_its_crop() -> None:
    images = random_images(1, 32, 32)
    parameters = PartCropParameters(np.array([[[8, 4, 11, 9]]]), np.array([[False]]), (17, 17))
    hidden = torch.full_like(images, 255)
    hidden[:, 8:19, 4:13] = images[:, 8:19, 4:13]
    assert torch.equal(part_crops(images, parameters, 16), part_crops(hidden, parameters, 16))


def test_a_whole_image_box_of_the_same_size_is_the_image_and_a_flip_mirrors_it() -> None:
    images = random_images(2, 16, 16)
    boxes = np.broadcast_to([0, 0, 16, 16], (2, 2, 4))
    crops = part_crops(images, PartCropParameters(boxes, np.array([[False, True]] * 2), (16, 16)), 16)
    assert torch.equal(crops[:, 0], images)
    assert torch.equal(crops[:, 1], images.flip(2))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(7)), first=st.integers(1, 6))
def test_order_and_batch_do_not_matter(order: list[int], first: int) -> None:
    """Bit for bit: permuting samples permutes crops, and splitting the batch splits them."""
    images, ids = random_images(7, 32, 32), np.array([3, 99, 0, 7, 2**40, 12, 5])
    whole = part_crops(images, draw_part_crops(ids, (32, 32), crops=9, seed=4), 16)
    mixed = part_crops(images[order], draw_part_crops(ids[order], (32, 32), crops=9, seed=4), 16)
    assert torch.equal(mixed, whole[order])
    alone = part_crops(images[:first], draw_part_crops(ids[:first], (32, 32), crops=9, seed=4), 16)
    assert torch.equal(alone, whole[:first])


def test_fewer_crops_are_the_first_of_many() -> None:
    few, many = (draw_part_crops(np.arange(4), (32, 32), crops=n, seed=0) for n in (16, 128))
    np.testing.assert_array_equal(few.boxes, many.boxes[:, :16])
    np.testing.assert_array_equal(few.flips, many.flips[:, :16])


def test_samples_and_seeds_have_crops_of_their_own() -> None:
    boxes = draw_part_crops(np.arange(50), (64, 64), crops=8, seed=0).boxes
    assert len(np.unique(boxes.reshape(50, -1), axis=0)) == 50
    assert (draw_part_crops(np.arange(50), (64, 64), crops=8, seed=1).boxes != boxes).any(axis=(1, 2)).all()


def test_areas_ratios_places_and_flips_follow_their_distributions() -> None:
    size = 1000  # large, so that rounding to whole pixels is negligible
    parameters = draw_part_crops(np.arange(200), (size, size), crops=100, seed=0)
    top, left, height, width = np.moveaxis(parameters.boxes.reshape(-1, 4).astype(float), -1, 0)
    area = height * width / size**2
    assert stats.kstest(area, stats.uniform(0.08, 0.12).cdf).pvalue > 0.001
    log_ratio = np.log(width / height)
    assert stats.kstest(log_ratio, stats.uniform(np.log(3 / 4), np.log(16 / 9)).cdf).pvalue > 0.001
    assert stats.kstest(top / (size - height), "uniform").pvalue > 0.001
    assert stats.kstest(left / (size - width), "uniform").pvalue > 0.001
    assert abs(np.corrcoef([area, log_ratio, top / (size - height), left / (size - width)]) - np.eye(4)).max() < 0.03
    assert stats.binomtest(int(parameters.flips.sum()), parameters.flips.size).pvalue > 0.001
    assert (np.maximum(top + height, left + width) <= size).all()


@pytest.mark.parametrize("scale", [(0.08, 0.2), (0.6, 1.0)])
def test_same_distribution_as_torchvision_at_whole_pixels(scale: tuple[float, float]) -> None:
    """Also where boxes often do not fit and are drawn again."""
    ours = draw_part_crops(np.arange(40), (32, 24), crops=100, scale=scale, seed=0).boxes.reshape(-1, 4)
    image = torch.zeros(3, 32, 24)
    theirs = np.array([RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(2000)])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


def test_an_image_that_no_box_fits_falls_back_to_its_centre() -> None:
    boxes = draw_part_crops(np.arange(5), (10, 100), crops=3, scale=(0.9, 1.0), seed=0).boxes
    assert (boxes == [0, 43, 10, 13]).all()


@pytest.mark.parametrize("wrong", [{"scale": (0.3, 0.2)}, {"scale": (0.0, 0.2)}, {"ratio": (0.0, 1.0)}, {"seed": -1}])
def test_ranges_are_checked(wrong: dict) -> None:
    with pytest.raises(UsageError):
        draw_part_crops(np.arange(2), (32, 32), **({"crops": 2, "seed": 0} | wrong))


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    scale=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair))),
    ratio=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)).map(lambda pair: (min(pair), max(pair))),
)
def test_boxes_lie_inside_the_image_and_never_exceed_the_largest(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    parameters = draw_part_crops(np.arange(9), size, crops=9, scale=scale, ratio=ratio, seed=0)
    corners, sizes = parameters.boxes[..., :2], parameters.boxes[..., 2:]
    assert (corners >= 0).all()
    assert (sizes > 0).all()
    assert (corners + sizes <= size).all()
    assert (sizes <= parameters.largest).all()
    assert (np.array(parameters.largest) <= size).all()


def test_the_papers_parts_never_exceed_17_of_32_pixels_and_more_is_refused() -> None:
    parameters = draw_part_crops(np.arange(2), (32, 32), crops=4, seed=0)
    assert parameters.largest == (17, 17)
    with pytest.raises(ValueError, match="exceeds"):
        part_crops(random_images(2, 32, 32), replace(parameters, largest=(5, 17)), 16)
