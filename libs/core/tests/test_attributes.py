"""Named attributes and users: read by name, passed through by data sets of data sets, refused where there are none."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec, attribute, users
from latentprint.core.datasets.cache import DecodedOptions, open_decoded
from latentprint.core.datasets.decoding import Listing
from latentprint.core.datasets.ham10000 import ham10000
from latentprint.core.datasets.members import opened
from latentprint.core.errors import UsageError

COMPOSITES = DatasetSpec("composites", {"count": 30})


def test_an_attribute_has_values_and_their_names() -> None:
    dataset = COMPOSITES.open()
    found = attribute(dataset, "sensitive")
    assert (found.name, found.classes) == ("sensitive", ("nothing", "belt", "badge"))
    np.testing.assert_array_equal(found.values, dataset.labels["sensitive"])
    np.testing.assert_array_equal(users(dataset), dataset.labels["user"])


@pytest.mark.parametrize(
    "spec",
    [
        DatasetSpec("noisy-labels", {"of": {"name": "composites", "options": {"count": 30}}, "fraction": 0.5}),
        DatasetSpec("as-published", {"of": {"name": "composites", "options": {"count": 30}}, "treated": [1, 2]}),
    ],
    ids=lambda spec: spec.name,
)
def test_a_data_set_of_a_data_set_has_its_attributes(spec: DatasetSpec) -> None:
    np.testing.assert_array_equal(attribute(spec.open(), "sensitive").values, COMPOSITES.open().labels["sensitive"])


def test_decoded_images_keep_their_attributes(official, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        official.pack(tmp_path / "made", {name: official.jpeg(1, (16, 16))})
    options = DecodedOptions(tmp_path / "made", side=8)
    labels = {"hat": np.array([1, 0])}

    @contextmanager
    def listed():
        with opened(tmp_path / "made") as members:
            yield Listing([(members, "a.jpg"), (members, "b.jpg")], labels, {"hat": ("without", "with")})

    for _ in range(2):
        dataset = open_decoded("hats", options, [options.path], ham10000, listed)
        assert attribute(dataset, "hat").classes == ("without", "with")


def test_what_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"Unknown attribute 'sensitiv'. Did you mean 'sensitive'"):
        attribute(COMPOSITES.open(), "sensitiv")
    digits = DatasetSpec("digits", {"side": 8}).open()
    with pytest.raises(UsageError, match="'digits' has no attributes"):
        attribute(digits, "sensitive")
    with pytest.raises(UsageError, match="'digits' does not say whose its samples are"):
        users(digits)
