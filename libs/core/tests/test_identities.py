"""`identities`: a person is one in all images and another one elsewhere, and the attribute is as visible as asked."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from latentprint.core.datasets import Dataset, DatasetSpec, attribute, users
from latentprint.core.errors import UsageError


def opened(**options) -> Dataset:
    return DatasetSpec("identities", {"height": 32, "width": 16, **options}).open()


def pixels(dataset: Dataset) -> np.ndarray:
    return dataset.images(np.arange(len(dataset)))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return opened(users=100, images=8)


def test_an_image_depends_on_its_person_and_number_alone(dataset: Dataset) -> None:
    fewer = opened(users=30, images=3)
    ids = np.arange(100 * 8).reshape(100, 8)[:30, :3].ravel()
    np.testing.assert_array_equal(pixels(fewer), dataset.images(ids))
    for name, values in fewer.labels.items():
        np.testing.assert_array_equal(values, dataset.labels[name][ids])


def test_the_same_seed_gives_the_same_images_on_every_machine() -> None:
    assert opened(users=4, images=4).digest == "2c196d65105f0f0d0c8c9b641e985e590f0a6fcad1447c24a85052dd19fbf639"


def test_looks_take_turns_and_share_a_person() -> None:
    """Without other variation, images of one look differ by light, background and grain of their own alone."""
    images = pixels(opened(users=20, images=6, looks=3, variation=0)).reshape(20, 6, 32, 16, 3).astype(float)
    body, legs = images[:, :, 11:19, 6:10], images[:, :, 24:29, 5:11]
    for part, apart in ((body, True), (legs, False)):
        same, other = (np.abs(part[:, i] - part[:, 0]).mean(axis=(1, 2, 3)) for i in (3, 1))
        assert np.median(same) < 12
        assert (np.median(other) > 30) == apart


def test_people_are_told_apart_by_their_nearest_image_but_not_always(dataset: Dataset) -> None:
    coarse = pixels(dataset).reshape(-1, 8, 4, 8, 2, 3).mean(axis=(2, 4)).reshape(len(dataset), -1)
    first = np.arange(len(dataset)) % 8 < 4
    neighbour = KNeighborsClassifier(1).fit(coarse[first], users(dataset)[first])
    assert 0.1 < neighbour.score(coarse[~first], users(dataset)[~first]) < 0.9  # chance is 0.01


def test_variation_parts_the_images_of_a_person() -> None:
    spread = []
    for variation in (0.0, 0.5, 1.5):
        images = pixels(opened(users=10, images=4, variation=variation)).reshape(10, 4, -1).astype(float)
        spread.append(images.std(axis=1).mean())
    assert spread[0] < spread[1] < spread[2]


def test_an_invisible_attribute_changes_no_pixel_and_a_visible_one_those_who_wear_it() -> None:
    unseen, half, whole = (pixels(opened(users=40, images=1, visibility=v)).astype(float) for v in (0.0, 0.5, 1.0))
    wears = attribute(opened(users=40, images=1), "sensitive").values > 0
    changed = [np.abs(seen - unseen).mean(axis=(1, 2, 3)) for seen in (half, whole)]
    assert (changed[1][~wears] == 0).all()
    assert (changed[0][wears] < changed[1][wears]).all()
    assert changed[0][wears].min() > 0


def test_too_many_looks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"looks must lie in 1 \.\. 16, not 17"):
        opened(looks=17)


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.0, 0.2, 0.45), (1.0, 1.0, 1.0)])
def test_the_attribute_follows_the_class_as_often_as_asked(correlation: float, low: float, high: float) -> None:
    labels = opened(users=300, images=1, height=8, width=8, correlation=correlation).labels
    assert low <= (labels["sensitive"] == labels["class"] % 3).mean() <= high
    assert {name: values.max() + 1 for name, values in labels.items()} == {"class": 4, "user": 300, "sensitive": 3}
