"""`noisy-labels`: how many classes change, which, to what, and nothing else."""

import numpy as np
import pytest
from scipy.stats import chisquare

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError

IMAGES = {"name": "composites", "options": {"count": 101, "users": 5}}
VECTORS = {"name": "baskets", "options": {"count": 6000, "features": 4, "classes": 5}}


def noisy(of=VECTORS, fraction: float = 0.25, **options):
    return DatasetSpec("noisy-labels", {"of": of, "fraction": fraction, **options}).open()


@pytest.mark.parametrize("of", [IMAGES, VECTORS])
def test_samples_and_other_labels_pass_through(of) -> None:
    plain, changed, ids = DatasetSpec(**of).open(), noisy(of), np.array([7, 0, 7, 100])
    np.testing.assert_array_equal(changed.images(ids), plain.images(ids))
    assert changed.images(ids).dtype == plain.images(ids).dtype
    assert changed.sample_shape == plain.sample_shape
    assert len(changed) == len(plain)
    assert set(changed.labels) == set(plain.labels)
    for name in set(plain.labels) - {"class"}:
        np.testing.assert_array_equal(changed.labels[name], plain.labels[name])
    assert changed.labels["class"].dtype == np.int64
    np.testing.assert_array_equal(plain.labels["class"], DatasetSpec(**of).open().labels["class"])


def test_image_size_is_that_of_the_images() -> None:
    assert noisy(IMAGES).image_size == (32, 32)
    with pytest.raises(UsageError, match="holds vectors of 4 features"):
        _ = noisy().image_size


@pytest.mark.parametrize(("of", "count"), [(IMAGES, 101), (VECTORS, 6000)])
@pytest.mark.parametrize("fraction", [0, 0.1, 0.25, 0.5, 1])
def test_as_many_change_as_asked_and_every_one_really(of, count: int, fraction: float) -> None:
    clean = DatasetSpec(**of).open().labels["class"]
    changed = noisy(of, fraction).labels["class"]
    assert (changed != clean).sum() == round(fraction * count)
    assert set(changed) <= set(clean)


def test_samples_are_chosen_and_classes_replaced_uniformly() -> None:
    """Chi-squared tests at a level that one seed in ten thousand fails."""
    clean, changed = DatasetSpec(**VECTORS).open().labels["class"], noisy(fraction=0.5).labels["class"]
    differ = changed != clean
    pairs = np.zeros((5, 5))
    np.add.at(pairs, (clean[differ], changed[differ]), 1)
    assert pairs.trace() == 0
    for kind in range(5):
        assert chisquare(np.delete(pairs[kind], kind)).pvalue > 1e-4
    sizes = np.bincount(clean)
    assert chisquare(pairs.sum(axis=1), sizes * differ.sum() / sizes.sum()).pvalue > 1e-4
    assert chisquare(differ.reshape(60, 100).sum(axis=1)).pvalue > 1e-4


def test_more_noise_keeps_what_less_has_changed() -> None:
    clean = DatasetSpec(**VECTORS).open().labels["class"]
    less, more = noisy(fraction=0.1).labels["class"], noisy(fraction=0.3).labels["class"]
    np.testing.assert_array_equal(more[less != clean], less[less != clean])


def test_the_same_seed_gives_the_same_and_the_digest_tells_every_difference() -> None:
    np.testing.assert_array_equal(noisy(seed=3).labels["class"], noisy(seed=3).labels["class"])
    assert (noisy(seed=3).labels["class"] != noisy(seed=4).labels["class"]).any()
    others = [noisy(seed=3), noisy(seed=4), noisy(seed=3, fraction=0.3), noisy(IMAGES, seed=3)]
    assert len({dataset.digest for dataset in others} | {DatasetSpec(**VECTORS).open().digest}) == 5
    assert noisy(seed=3).digest == others[0].digest


def test_noise_upon_noise() -> None:
    once = {"name": "noisy-labels", "options": {"of": VECTORS, "fraction": 0.2}}
    twice = noisy(once, 0.2, seed=1)
    assert (twice.labels["class"] != DatasetSpec(**once).open().labels["class"]).sum() == 1200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.5}, r"fraction must lie in 0 \.\. 1, not 1\.5"),
        ({"fraction": -0.1}, r"fraction must lie in 0 \.\. 1"),
        ({"fraction": float("nan")}, r"fraction: nan is no number to work with"),
        ({"seed": -1}, "A seed must lie in"),
        ({"of": {"name": "baskets", "options": {"count": 5, "classes": 1}}}, "'baskets' has a single class"),
        ({"of": {"name": "baskit"}}, "Did you mean 'baskets'"),
        ({"share": 0.5}, "unknown key 'share'"),
    ],
)
def test_wrong_options_are_refused_in_one_sentence(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DatasetSpec("noisy-labels", {"of": VECTORS, "fraction": 0.5} | options).open()
