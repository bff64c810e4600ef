import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from latentprint.core.errors import UsageError
from latentprint.core.views.tiles import tile_boxes, tiles


@given(st.integers(8, 70), st.integers(8, 70), st.integers(1, 6), st.floats(0, 0.8))
def test_equal_tiles_cover_the_whole_image(height: int, width: int, grid: int, overlap: float) -> None:
    boxes = tile_boxes((height, width), grid, overlap)
    assert boxes.shape == (grid**2, 4)
    assert (boxes[:, 2:] == boxes[0, 2:]).all()
    seen = np.zeros((height, width), dtype=bool)
    for top, left, tall, wide in boxes:
        assert top >= 0
        assert left >= 0
        assert top + tall <= height
        assert left + wide <= width
        seen[top : top + tall, left : left + wide] = True
    assert seen.all()


def test_tiles_overlap_as_asked_and_run_row_by_row() -> None:
    boxes = tile_boxes((32, 32), 3, 0.5)
    assert boxes[:, 2:].tolist() == [[16, 16]] * 9
    assert boxes[:, :2].tolist() == [[top, left] for top in (0, 8, 16) for left in (0, 8, 16)]


def test_tiles_against_cropping_and_resizing_one_by_one() -> None:
    images = np.random.default_rng(0).integers(90, 166, size=(3, 30, 20, 3), dtype=np.uint8)
    cut = tiles(torch.from_numpy(images), 2, 0.25, 12).numpy()
    assert cut.shape == (3, 4, 12, 12, 3)
    for image, own in zip(images, cut, strict=True):
        for (top, left, tall, wide), tile in zip(tile_boxes((30, 20), 2, 0.25), own, strict=True):
            whole = Image.fromarray(image[top : top + tall, left : left + wide])
            expected = np.asarray(whole.resize((12, 12), Image.Resampling.BICUBIC)).astype(int)
            assert np.abs(expected - tile).max() <= 1  # Pillow rounds between its two passes


@pytest.mark.parametrize(("grid", "overlap"), [(0, 0.5), (2, 1.0), (2, -0.1), (40, 0.0)])
def test_impossible_tiles_are_refused(grid: int, overlap: float) -> None:
    with pytest.raises(UsageError, match="tile"):
        tile_boxes((32, 32), grid, overlap)
