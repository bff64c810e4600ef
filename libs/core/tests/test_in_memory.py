"""Arrays, tensors and data sets of a program as a data set."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from latentprint.core.datasets.in_memory import as_samples, in_memory
from latentprint.core.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
FLOATS = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize(
    "given",
    [IMAGES, torch.from_numpy(IMAGES), FLOATS, FLOATS.permute(0, 2, 3, 1), IMAGES / 255.0, list(FLOATS)],
    ids=["uint8", "tensor", "channels first", "channels last", "float64", "list of tensors"],
)
def test_images_of_every_form_are_the_same_images(given):
    samples, labels = as_samples(given, "members")
    assert samples.dtype == np.uint8
    assert labels is None
    np.testing.assert_array_equal(samples, IMAGES)


def test_a_data_set_of_pairs_keeps_its_classes():
    labels = torch.arange(6) % 3
    for given in (TensorDataset(FLOATS, labels), (FLOATS, labels)):
        samples, classes = as_samples(given, "members")
        np.testing.assert_array_equal(samples, IMAGES)
        assert classes.tolist() == [0, 1, 2, 0, 1, 2]


def test_vectors_are_vectors():
    samples, _ = as_samples(np.arange(12).reshape(3, 4), "members")
    assert samples.dtype == np.float32
    assert in_memory([(samples, None), (samples + 1, None)]).open().sample_shape == (4,)


def test_both_sides_are_one_data_set_in_order():
    spec = in_memory([(IMAGES[:2], None), (IMAGES[2:], None)])
    dataset = spec.open()
    assert (len(dataset), dataset.sample_shape, dict(dataset.labels)) == (6, (8, 10, 3), {})
    np.testing.assert_array_equal(dataset.images(np.array([4, 1])), IMAGES[[4, 1]])
    assert spec == in_memory([(IMAGES[:3], None), (IMAGES[3:], None)])
    assert spec != in_memory([(IMAGES[::-1].copy(), None)])


def test_classes_count_only_where_all_sides_have_them():
    classes = np.arange(6)
    assert "class" in in_memory([(IMAGES, classes)]).open().labels
    assert not in_memory([(IMAGES, classes), (IMAGES, None)]).open().labels


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (FLOATS * 2 - 1, "members holds float32 images from -1 to 1: give uint8"),
        (IMAGES.astype(np.int64), "members holds int64 images"),
        (IMAGES[..., 0], r"shape \[6, 8, 10\]"),
        (IMAGES[:0], "members holds no samples"),
        (np.float32(3), r"shape \[\]"),
        ("a folder", "members must be"),
        (np.where(IMAGES > 250, np.nan, IMAGES / 255.0), "members holds a value that is not finite, in sample 0"),
        ((IMAGES, np.arange(5)), r"classes of members are int64 of the shape \[5\]"),
        ((IMAGES, np.array(list("abcdef"))), "classes of members are <U1"),
        ((IMAGES, np.arange(6) - 1), "from 0 up"),
        (np.array([["a", "b"]]), "members holds <U1, not numbers"),
        (7, "members must be"),
    ],
)
def test_what_is_none_of_these_is_refused_by_name(given, message):
    with pytest.raises(DataError, match=message):
        as_samples(given, "members")


def test_sides_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="one shape"):
        in_memory([(IMAGES, None), (IMAGES[:, :4], None)])
