from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.signals.parts import draw_adaptive_parts
from latentprint.attack_engine.signals.saliency import gradient_saliency, object_boxes, spectral_residual
from latentprint.core.views.part_crops import draw_object_parts


def one_object(places: list[tuple[int, int]], side: int = 32, size: int = 8) -> np.ndarray:
    """Plain ground with one textured square for each image, its top left corner at `places`."""
    rng = np.random.default_rng(0)
    images = np.full((len(places), side, side, 3), 90, dtype=np.uint8)
    for image, (top, left) in zip(images, places, strict=True):
        image[top : top + size, left : left + size] = rng.integers(0, 256, size=(size, size, 3))
    return images


PLACES = [(2, 2), (20, 18), (12, 3), (4, 22)]


def test_the_spectral_residual_finds_the_object() -> None:
    saliency = spectral_residual(one_object(PLACES))
    np.testing.assert_allclose(saliency.sum(axis=(1, 2)), 1)
    for (top, left), own, box in zip(PLACES, saliency, object_boxes(saliency), strict=True):
        inside = own[max(0, top - 3) : top + 11, max(0, left - 3) : left + 11].sum()
        assert inside > 0.55
        middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)
        assert abs(middle[0] - top - 4) < 6
        assert abs(middle[1] - left - 4) < 6
        assert box[2] * box[3] < 32 * 32 * 0.6


def test_saliency_is_each_image_s_own_and_a_plain_image_is_salient_everywhere() -> None:
    images = np.concatenate([one_object(PLACES), np.full((1, 32, 32, 3), 7, np.uint8)])
    together = spectral_residual(images)
    np.testing.assert_allclose(spectral_residual(images[2:3])[0], together[2])
    _, _, tall, wide = object_boxes(together)[4]
    assert min(tall, wide) >= 19


def test_object_boxes_hold_the_middle_share_along_each_axis() -> None:
    saliency = np.zeros((1, 10, 10))
    saliency[0, 3:7, 2:4] = 1 / 8
    assert object_boxes(saliency, share=0.99).tolist() == [[3, 2, 4, 2]]
    saliency[:] = 0.01
    assert object_boxes(saliency, share=0.6).tolist() == [[2, 2, 6, 6]]


def test_parts_lie_inside_their_object_and_follow_its_size() -> None:
    objects = np.array([[2, 3, 12, 10], [0, 0, 32, 32], [30, 30, 1, 1]])
    drawn = draw_object_parts(np.array([4, 9, 1]), objects, (32, 32), crops=300, scale=(0.1, 0.3), seed=5)
    for (top, left, tall, wide), boxes in zip(objects, drawn.boxes, strict=True):
        assert (boxes[:, 0] >= top).all()
        assert (boxes[:, 1] >= left).all()
        assert (boxes[:, 0] + boxes[:, 2] <= top + tall).all()
        assert (boxes[:, 1] + boxes[:, 3] <= left + wide).all()
        assert (boxes[:, 2:] >= 1).all()
    share = drawn.boxes[:, :, 2] * drawn.boxes[:, :, 3] / (objects[:, 2] * objects[:, 3])[:, None]
    assert 0.17 < share[0].mean() < 0.23
    assert 0.18 < share[1].mean() < 0.22
    alone = draw_object_parts(np.array([9]), objects[1:2], (32, 32), crops=20, scale=(0.1, 0.3), seed=5)
    np.testing.assert_array_equal(alone.boxes[0], drawn.boxes[1, :20])


@pytest.mark.parametrize("source", ["spectral", "bundle"])
def test_adaptive_parts_look_at_the_object_more_than_random_ones(source: str, tiny_bundle: Path) -> None:
    images, ids = one_object(PLACES), np.arange(4)
    saliency = str(tiny_bundle) if source == "bundle" else source
    drawn = draw_adaptive_parts(images, ids, crops=50, scale=(0.2, 0.5), saliency=saliency, seed=0)
    hits = []
    for (top, left), boxes in zip(PLACES, drawn.boxes, strict=True):
        middles = boxes[:, :2] + boxes[:, 2:] / 2
        hits.append((np.abs(middles - [top + 4, left + 4]).max(axis=1) <= 6).mean())
    assert np.mean(hits) > (0.5 if source == "spectral" else 0.1)


def test_gradients_are_each_image_s_own(tiny_bundle: Path) -> None:
    images = one_object(PLACES)
    together = gradient_saliency(images, tiny_bundle)
    assert together.shape == (4, 32, 32)
    np.testing.assert_allclose(together.sum(axis=(1, 2)), 1)
    np.testing.assert_allclose(gradient_saliency(images[3:], tiny_bundle)[0], together[3], rtol=1e-3, atol=1e-8)
