"""`composites`: fixed by seed and id, unlike one another, with classes that simple features tell apart."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from latentprint.core.datasets import Dataset, DatasetSpec


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return DatasetSpec("composites", {"count": 2000}).open()


def _knn_accuracy(pixels: np.ndarray, labels: np.ndarray) -> float:
    half = len(pixels) // 2
    features = pixels.reshape(len(pixels), -1) / 255
    return float(KNeighborsClassifier(10).fit(features[:half], labels[:half]).score(features[half:], labels[half:]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**40), count=st.integers(1, 140), side=st.sampled_from([8, 17, 32]))
def test_an_image_depends_on_seed_and_id_and_not_on_the_count(seed: int, count: int, side: int) -> None:
    few = DatasetSpec("composites", {"count": count, "side": side, "seed": seed}).open()
    more = DatasetSpec("composites", {"count": count + 131, "side": side, "seed": seed}).open()
    ids = np.arange(count)
    np.testing.assert_array_equal(few.images(ids), more.images(ids))
    for name, values in few.labels.items():
        np.testing.assert_array_equal(values, more.labels[name][:count])


def test_the_same_seed_gives_the_same_images_on_every_machine() -> None:
    dataset = DatasetSpec("composites", {"count": 64, "seed": 7}).open()
    assert dataset.digest == "dd976d5b692e5bb671e05b1dcfe05e90fa78aa591684f6d66022df4567ab2688"


def test_samples_differ_from_one_another(dataset: Dataset) -> None:
    """The nearest other image is far in pixels, within a class as well: textures and layouts belong to the sample."""
    images = dataset.images(np.arange(500)).reshape(500, -1).astype(np.float64)
    squares = (images**2).sum(axis=1)
    squared = squares[:, None] + squares - 2 * images @ images.T
    np.fill_diagonal(squared, np.inf)
    nearest = np.sqrt(squared.min(axis=1).clip(0) / images.shape[1])  # root mean square difference, grey levels
    assert nearest.min() > 15
    assert np.median(nearest) > 30


def test_classes_are_told_by_nearest_neighbours_but_not_easily(dataset: Dataset) -> None:
    pixels = dataset.images(np.arange(2000))
    accuracy = _knn_accuracy(pixels, dataset.labels["class"])
    assert 0.3 < accuracy < 0.6
    pooled = pixels.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    assert _knn_accuracy(pooled, dataset.labels["class"]) > 0.35


def test_user_and_sensitive_attribute_leave_a_subtle_trace(dataset: Dataset) -> None:
    pixels = dataset.images(np.arange(2000))
    assert _knn_accuracy(pixels, dataset.labels["user"]) > 0.0155  # chance 0.01, four standard errors below 0.025
    assert _knn_accuracy(pixels, dataset.labels["sensitive"]) > 0.36  # chance 0.333


def test_labels_are_balanced_and_independent(dataset: Dataset) -> None:
    labels = dataset.labels
    assert {name: values.max() + 1 for name, values in labels.items()} == {"class": 10, "user": 100, "sensitive": 3}
    assert np.bincount(labels["class"]).min() > 150
    table = np.zeros((10, 3))
    np.add.at(table, (labels["class"], labels["sensitive"]), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 42.3  # chi-squared, 18 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("visibility", "told"), [(0.0, False), (3.0, True)])
def test_visibility_says_whether_pixels_tell_the_sensitive_attribute(visibility: float, told: bool) -> None:
    plain, changed = (DatasetSpec("composites", {"count": 60, "visibility": v}).open() for v in (0.0, visibility))
    ids = np.arange(60)
    differ = (plain.images(ids) != changed.images(ids)).any(axis=(1, 2, 3))
    assert differ.tolist() == ((plain.labels["sensitive"] > 0) & told).tolist()
    assert plain.labels["sensitive"].tolist() == changed.labels["sensitive"].tolist()


def test_correlation_is_the_share_whose_sensitive_attribute_follows_from_the_class() -> None:
    half, whole = (DatasetSpec("composites", {"count": 2000, "side": 8, "correlation": c}).open() for c in (0.5, 1.0))
    assert (whole.labels["sensitive"] == whole.labels["class"] % 3).all()
    agreeing = (half.labels["sensitive"] == half.labels["class"] % 3).mean()
    assert agreeing == pytest.approx(0.5 + 0.5 / 3, abs=0.05)  # 4.7 standard errors


def test_two_thousand_images_take_less_than_two_seconds() -> None:
    def seconds() -> float:
        start = time.process_time()
        DatasetSpec("composites", {"count": 2000, "seed": 3}).open()
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 2
