import itertools

import numpy as np
import pytest

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.partitions import PartSizes, draw_partition, draw_placebo, stratified_order
from latentprint.core.split_files import read_split, write_split
from latentprint.core.splits import EVALUATION, KNOWN

SPEC = DatasetSpec("digits", {"side": 8})
SIZES = PartSizes(100, 300, 100, 200, distillation=400, validation=50)


@pytest.fixture(scope="module")
def digits():
    return SPEC.open()


def parts(partition):
    target, shadow = partition.target, partition.shadow
    return {
        "members": target.ids(member=True),
        "non-members": target.ids(member=False),
        "validation": target.validation,
        "shadow members": shadow.ids(member=True),
        "shadow non-members": shadow.ids(member=False),
        "shadow validation": shadow.validation,
        "distillation": shadow.distillation,
    }


def test_parts_are_disjoint_and_of_the_sizes_asked_for(digits):
    found = parts(draw_partition(digits, SIZES, seed=3))
    assert {name: len(ids) for name, ids in found.items()} == {
        "members": 100,
        "non-members": 300,
        "validation": 50,
        "shadow members": 100,
        "shadow non-members": 200,
        "shadow validation": 50,
        "distillation": 400,
    }
    for one, other in itertools.combinations(found.values(), 2):
        assert not set(one.tolist()) & set(other.tolist())


def test_every_part_has_the_classes_in_their_proportions(digits):
    label = digits.labels["class"]
    share = np.bincount(label) / len(label)
    for ids in parts(draw_partition(digits, SIZES, seed=3)).values():
        count = np.bincount(label[ids], minlength=10)
        assert np.abs(count - share * len(ids)).max() <= 2


def test_distillation_takes_the_rest_where_no_size_is_given(digits):
    found = parts(draw_partition(digits, PartSizes(100, 100, 100, 100), seed=0))
    assert sum(map(len, found.values())) == len(digits)


def test_the_adversary_knows_all_of_its_own_samples_and_a_fraction_of_the_victims(digits):
    partition = draw_partition(digits, SIZES, known_fraction=0.25)
    assert set(partition.shadow.role) == {KNOWN}
    assert len(partition.target.ids(member=True, role=KNOWN)) == 25
    assert len(partition.target.ids(member=False, role=KNOWN)) == 75
    assert set(draw_partition(digits, SIZES).target.role) == {EVALUATION}


def test_an_adversary_may_hold_another_data_set(digits):
    other = DatasetSpec("composites", {"count": 300, "side": 8}).open()
    partition = draw_partition(digits, PartSizes(100, 100, 80, 80), auxiliary=other)
    assert partition.target.dataset_digest == digits.digest
    assert partition.shadow.dataset_digest == other.digest
    assert len(partition.shadow.distillation) == 300 - 160


def test_a_seed_gives_one_partition_and_another_seed_another(digits):
    again = [draw_partition(digits, SIZES, seed=seed) for seed in (5, 5, 6)]
    assert again[0].target.digest == again[1].target.digest != again[2].target.digest
    assert again[0].shadow.digest == again[1].shadow.digest != again[2].shadow.digest


def test_the_order_is_random_within_a_class(digits):
    first, second = (stratified_order(digits, np.random.default_rng(seed)) for seed in (0, 1))
    assert sorted(first) == sorted(second) == list(range(len(digits)))
    assert (first != second).mean() > 0.9


def test_further_samples_survive_the_file_and_count_in_the_digest(digits, tmp_path):
    partition = draw_partition(digits, SIZES, source=SPEC)
    for split in (partition.target, partition.shadow):
        write_split(split, tmp_path / "split.parquet")
        back = read_split(tmp_path / "split.parquet")
        assert back.digest == split.digest
        assert np.array_equal(back.distillation, split.distillation)
        assert np.array_equal(back.validation, split.validation)
    without = draw_partition(digits, PartSizes(100, 300, 100, 200, distillation=400), source=SPEC)
    assert without.target.digest != partition.target.digest


@pytest.mark.parametrize("sizes", [PartSizes(1000, 500, 200, 200, 0), PartSizes(900, 500, 200, 200)])
def test_too_many_samples_are_refused_by_number(digits, sizes):
    with pytest.raises(UsageError, match="which has 1797"):
        draw_partition(digits, sizes)


@pytest.mark.parametrize("sizes", [PartSizes(10, 0, 10, 10, 10), PartSizes(10, 10, 10, 0, 10)])
def test_an_empty_side_is_refused(digits, sizes):
    with pytest.raises(UsageError, match="members and non-members of the victim"):
        draw_partition(digits, sizes)


def test_an_adversary_without_a_shadow_has_distillation_samples_alone(digits):
    shadow = draw_partition(digits, PartSizes(10, 10, distillation=20)).shadow
    assert (len(shadow.sample_id), len(shadow.distillation)) == (0, 20)


def test_used_candidates_are_trained_on_and_neither_known_nor_evaluated(digits):
    sizes = PartSizes(40, 60, used=15, unused=25, distillation=0)
    parts = draw_partition(digits, sizes, known_fraction=0.5)
    split = parts.target
    assert len(split.candidates) == 40
    assert split.used.sum() == 15
    assert not np.isin(split.candidates, split.sample_id).any()
    assert len(split.trained_ids) == len(np.unique(split.trained_ids)) == 55
    assert np.isin(split.candidates[split.used], split.trained_ids).all()
    assert not np.isin(split.candidates[~split.used], split.trained_ids).any()
    placebo = draw_placebo(digits, parts)
    assert len(placebo.trained_ids) == 55
    assert not np.isin(split.asked, placebo.sample_id).any()
