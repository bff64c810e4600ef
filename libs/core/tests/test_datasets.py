"""Every data set keeps the contract: uint8 images by id, labels, a digest of content, strict options."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DATASETS, DatasetSpec
from latentprint.core.errors import UsageError

DOCS = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
GENERATED = [
    DatasetSpec("digits"),
    DatasetSpec("composites", {"count": 40}),
    DatasetSpec("digits", {"side": 16}),
    DatasetSpec("identities", {"users": 3, "images": 3, "height": 24, "width": 12}),
]


@pytest.mark.parametrize("spec", [GENERATED[1], GENERATED[3]], ids=lambda spec: spec.name)
def test_a_process_paints_generated_images_once(spec: DatasetSpec) -> None:
    again, other = DatasetSpec(spec.name, {**spec.options}), DatasetSpec(spec.name, {**spec.options, "seed": 5})
    assert spec.open() is again.open()
    assert other.open().digest != spec.open().digest


@pytest.mark.parametrize("spec", GENERATED, ids=lambda spec: f"{spec.name}-{spec.options}")
def test_images_labels_and_digest(spec: DatasetSpec) -> None:
    dataset = spec.open()
    ids = np.array([5, 3, 5, 0])
    images = dataset.images(ids)
    assert images.dtype == np.uint8
    assert images.shape == (4, *dataset.image_size, 3)
    np.testing.assert_array_equal(images[0], images[2])
    np.testing.assert_array_equal(images[1], dataset.images(np.array([3]))[0])
    for name, values in dataset.labels.items():
        assert values.dtype == np.int64, name
        assert values.shape == (len(dataset),), name
    assert "class" in dataset.labels
    assert spec.open().digest == dataset.digest
    assert len(dataset.digest) == 64


def test_returned_images_may_be_written_to_without_changing_the_data_set() -> None:
    dataset = DatasetSpec("composites", {"count": 3}).open()
    ids = np.arange(3)
    before = dataset.images(ids).copy()
    dataset.images(ids)[:] = 0
    np.testing.assert_array_equal(dataset.images(ids), before)


@pytest.mark.parametrize("wrong", [-1, 40])
def test_an_id_out_of_range_is_refused_by_name(wrong: int) -> None:
    dataset = DatasetSpec("composites", {"count": 40}).open()
    with pytest.raises(UsageError, match=rf"samples 0 \.\. 39; there is no sample {wrong}"):
        dataset.images(np.array([0, wrong]))


def test_digits_are_the_source_scaled() -> None:
    dataset = DatasetSpec("digits", {"side": 8}).open()
    assert len(dataset) == 1797
    zero = dataset.images(np.array([0]))[0]
    assert (zero[..., 0] == zero[..., 1]).all()
    assert zero[0, :4, 0].tolist() == [0, 0, 80, 207]  # 0, 0, 5 and 13 of 16
    assert np.bincount(dataset.labels["class"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digest_follows_content_and_options() -> None:
    digests = {
        DatasetSpec(name, options).open().digest
        for name, options in [
            ("digits", {}),
            ("digits", {"side": 16}),
            ("composites", {"count": 20}),
            ("composites", {"count": 21}),
            ("composites", {"count": 20, "seed": 1}),
            ("composites", {"count": 20, "side": 24}),
            ("composites", {"count": 20, "users": 7}),
        ]
    }
    assert len(digests) == 7


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digitz", {}, "Did you mean 'digits'"),
        ("digits", {"sid": 32}, "unknown key 'sid'. Did you mean 'side'"),
        ("digits", {"side": 4}, "side must lie in 8 .. 1024"),
        ("composites", {"count": 0}, "count must be at least 1"),
        ("composites", {"seed": -1}, "seed must not be negative"),
        ("composites", {"visibility": -0.5}, "visibility must not be negative"),
        ("composites", {"correlation": 1.5}, "correlation must lie in 0 .. 1"),
        ("composites", {"side": "big"}, "side: "),
        ("identities", {"width": 4}, "width must lie in 8 .. 1024"),
        ("identities", {"users": 0}, "users must be at least 1"),
        ("identities", {"visibility": 1.5}, "visibility must lie in 0 .. 1"),
        ("identities", {"variation": -1}, "variation must not be negative"),
        ("cifar10", {}, "path"),
        ("folders", {"paths": ()}, "at least one folder"),
    ],
)
def test_wrong_names_and_options_are_refused_in_one_sentence(name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DatasetSpec(name, options).open()


def test_every_data_set_says_what_it_is_and_needs() -> None:
    documented = DOCS.read_text(encoding="utf-8")
    for entry in DATASETS:
        assert f"`{entry.name}`" in documented
        assert entry.summary
        assert entry.source
        assert entry.needs["files"]
