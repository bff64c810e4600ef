"""Splits by users: three groups, no user on two sides, as many images of each, and refusals that name users."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.core.datasets import Dataset, DatasetSpec, users
from latentprint.core.datasets.arrays import array_dataset
from latentprint.core.errors import DataError, UsageError
from latentprint.core.partitions import PartSizes
from latentprint.core.split_files import read_split, write_split
from latentprint.core.splits import EVALUATION, KNOWN
from latentprint.core.user_partitions import (
    UserImages,
    draw_user_partition,
    draw_user_placebo,
    split_users_by_membership,
)

SIZES = PartSizes(10, 12, 6, 5, distillation=3, validation=2)
IMAGES = UserImages(trained_images=3, probes=2)


def small(images_of: list[int]) -> Dataset:
    """Users with so many images each, of 8x8 pixels, shuffled."""
    user = np.random.default_rng(0).permutation(np.repeat(np.arange(len(images_of)), images_of))
    pixels = np.zeros((len(user), 8, 8, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(user))
    return array_dataset("small", pixels, {"class": np.zeros_like(user), "user": user})


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return DatasetSpec("identities", {"users": 80, "images": 6, "height": 8, "width": 8}).open()


def counts(values: np.ndarray) -> set[int]:
    return set(np.unique(values, return_counts=True)[1].tolist())


def test_the_three_groups_have_their_sizes(dataset: Dataset) -> None:
    split = draw_user_partition(dataset, SIZES, IMAGES, seed=3, known_fraction=0.5).target
    np.testing.assert_array_equal(split.unit, users(dataset)[split.sample_id])
    members = split.member
    assert len(np.unique(split.unit[members])) == 10
    assert len(np.unique(split.unit[~members])) == 12
    assert counts(split.unit[split.trained]) == {3}
    assert counts(split.unit[members & ~split.trained]) == {2}
    assert counts(split.unit[~members]) == {2}
    for side, known in ((members, 5), (~members, 6)):
        assert len(np.unique(split.unit[side & (split.role == KNOWN)])) == known
    assert set(split.role) == {KNOWN, EVALUATION}
    assert split.split_by == "coin"


def test_no_user_is_in_two_parts(dataset: Dataset) -> None:
    parts = draw_user_partition(dataset, SIZES, IMAGES, seed=3)
    placebo = draw_user_placebo(dataset, parts, IMAGES, seed=3)
    assert parts.shadow is not None
    assert placebo is not None
    of = users(dataset)
    everyone = [
        np.unique(of[ids])
        for split in (parts.target, parts.shadow, placebo)
        for ids in (split.ids(member=True), split.ids(member=False), *split.further.values())
    ]
    assert [len(part) for part in everyone] == [10, 12, 2, 6, 5, 2, 3, 10, 12, 2]
    together = np.concatenate(everyone)
    assert len(np.unique(together)) == len(together)


def test_a_draw_follows_its_seed_and_survives_its_file(dataset: Dataset, tmp_path: Path) -> None:
    drawn = [draw_user_partition(dataset, SIZES, IMAGES, seed=seed).target for seed in (1, 1, 2)]
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest
    write_split(drawn[0], tmp_path / "split.parquet")
    read = read_split(tmp_path / "split.parquet")
    assert read.digest == drawn[0].digest
    np.testing.assert_array_equal(read.trained, drawn[0].trained)


def test_only_users_with_enough_images_are_drawn() -> None:
    dataset = small([5, 4, 5, 5, 1, 5])
    split = draw_user_partition(dataset, PartSizes(2, 2, distillation=0), IMAGES, known_fraction=0).target
    assert set(split.unit) == {0, 2, 3, 5}
    with pytest.raises(UsageError, match=r"needs 5 users .* 4 of 6 have as many \(user 1 has 4\)"):
        draw_user_partition(dataset, PartSizes(3, 2, distillation=0), IMAGES)


def test_a_given_membership_takes_as_many_images_of_everyone() -> None:
    dataset = small([5, 4, 6, 4])
    user = users(dataset)
    split = split_users_by_membership(dataset, user, user < 2, probes=4, seed=1)
    assert counts(split.unit) == {4}
    assert not split.trained.any()
    np.testing.assert_array_equal(split.member, split.unit < 2)
    assert counts(split.unit[split.role == KNOWN]) == {4}


def test_who_lacks_images_or_is_in_both_groups_is_named() -> None:
    dataset = small([5, 4, 6, 4])
    user, names = users(dataset), ["ada", "ben", "cleo", "dan"]
    with pytest.raises(DataError, match="The user ben has 4 images, and 5 of each are asked about"):
        split_users_by_membership(dataset, user, user < 2, probes=5, names=names)
    both = user < 2
    both[np.flatnonzero(user == 2)[0]] = True
    with pytest.raises(DataError, match="The user cleo is a member and a non-member"):
        split_users_by_membership(dataset, user, both, probes=2, names=names)
    with pytest.raises(UsageError, match="leaves no user known or evaluated"):
        split_users_by_membership(dataset, user, user < 1, probes=2, names=names)


@pytest.mark.parametrize("wrong", [{"trained_images": 0}, {"probes": 0}])
def test_a_user_without_images_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        UserImages(**wrong)
