import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError

OF = {"name": "composites", "options": {"count": 40}}


def spec(**changes: object) -> DatasetSpec:
    return DatasetSpec("as-published", {"of": OF, "treated": (1, 3, 5, 7), "seed": 2} | changes)


def test_only_the_treated_samples_change_and_each_in_its_own_way() -> None:
    plain, treated = DatasetSpec(**OF).open(), spec().open()
    ids = np.arange(10)
    changed = (plain.images(ids) != treated.images(ids)).any(axis=(1, 2, 3))
    assert set(ids[changed]) == {1, 3, 5, 7}
    np.testing.assert_array_equal(treated.images(np.array([7, 0, 3])), treated.images(ids)[[7, 0, 3]])
    assert len(treated) == 40
    assert treated.image_size == (32, 32)
    np.testing.assert_array_equal(treated.labels["class"], plain.labels["class"])
    assert (plain.images(ids) == DatasetSpec(**OF).open().images(ids)).all()


def test_its_digest_tells_every_difference() -> None:
    digests = {spec(**change).open().digest for change in ({}, {"seed": 3}, {"treated": (1, 3)})}
    assert len(digests | {DatasetSpec(**OF).open().digest}) == 4
    assert spec().open().digest == spec().open().digest


@pytest.mark.parametrize("treated", [(40,), (-1, 2)])
def test_an_id_that_is_no_sample_is_refused(treated: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="sample ids from 0 to 39"):
        spec(treated=treated).open()
