from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.errors import DataError, UsageError
from latentprint.core.split_files import read_split, write_split
from latentprint.core.splits import (
    CANDIDATES,
    EVALUATION,
    KNOWN,
    VALIDATION,
    Split,
    Units,
    draw_split,
    split_by_membership,
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return DatasetSpec("digits").open()


def test_a_split_has_the_sizes_asked_for_and_no_sample_twice(digits: Dataset) -> None:
    split = draw_split(digits, members=100, non_members=300, known_fraction=0.3, seed=1)
    assert len(np.unique(split.sample_id)) == 400
    assert len(split.ids(member=True, role=KNOWN)) == 30
    assert len(split.ids(member=True, role=EVALUATION)) == 70
    assert len(split.ids(member=False, role=KNOWN)) == 90
    assert len(split.ids(member=False, role=EVALUATION)) == 210


def test_membership_says_nothing_about_the_sample(digits: Dataset) -> None:
    split = draw_split(digits, members=800, non_members=800, seed=3)
    labels = digits.labels["class"]
    rates = np.bincount(labels[split.ids(member=True)]) / np.bincount(labels[split.ids()])
    assert abs(np.corrcoef(split.sample_id, split.member)[0, 1]) < 0.1
    assert (np.abs(rates - 0.5) < 0.15).all()


def test_the_seed_decides_and_the_digest_tells(digits: Dataset) -> None:
    first, same, other = (draw_split(digits, members=50, non_members=50, seed=s) for s in (1, 1, 2))
    assert first.digest == same.digest != other.digest


def test_a_split_survives_the_disk(digits: Dataset, tmp_path: Path) -> None:
    split = draw_split(digits, members=50, non_members=70, seed=5, source=DatasetSpec("digits"))
    write_split(split, tmp_path / "deep" / "split.parquet")
    again = read_split(tmp_path / "deep" / "split.parquet")
    assert again.digest == split.digest
    assert again.seed == 5
    assert again.open_dataset().digest == digits.digest


def test_a_split_of_the_projects_former_name_still_opens(digits: Dataset, tmp_path: Path) -> None:
    split = draw_split(digits, members=30, non_members=30, seed=7)
    path = tmp_path / "split.parquet"
    write_split(split, path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"leakscope": table.schema.metadata[b"latentprint"]}), path)
    assert read_split(path).digest == split.digest


def test_a_given_membership_is_kept(digits: Dataset) -> None:
    member = np.arange(len(digits)) % 3 == 0
    split = split_by_membership(digits, member, known_fraction=0.25, seed=2)
    np.testing.assert_array_equal(split.member, member[split.sample_id])
    assert len(split.ids(member=True, role=KNOWN)) == round(member.sum() * 0.25)
    assert np.corrcoef(split.ids(role=KNOWN), split.member[split.role == KNOWN])[0, 1] < 0.2


def test_a_split_that_names_no_data_set_says_so(digits: Dataset) -> None:
    with pytest.raises(UsageError, match="name the data set"):
        draw_split(digits, members=20, non_members=20).open_dataset()


def test_a_split_of_another_data_set_is_refused(digits: Dataset) -> None:
    split = draw_split(digits, members=20, non_members=20)
    with pytest.raises(DataError, match="drawn from a data set with digest"):
        split.check(DatasetSpec("composites", {"count": 50}).open())


def test_an_altered_split_is_refused(digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    write_split(draw_split(digits, members=20, non_members=20), path)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    frame = table.to_pandas()
    frame.loc[0, "member"] = not frame.loc[0, "member"]
    pq.write_table(table.from_pandas(frame, schema=table.schema), path)
    with pytest.raises(DataError, match="was altered after it was written"):
        read_split(path)


@pytest.mark.parametrize("content", ["text", "frame", None])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "file.parquet"
    if content == "text":
        path.write_text("not a table")
    elif content == "frame":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"file\.parquet"):
        read_split(path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"members": 1000, "non_members": 1000}, "needs 2000 samples; 'digits' has 1797"),
        ({"members": 1, "non_members": 100}, "leaves none known or none to evaluate"),
        ({"members": 100, "non_members": 100, "known_fraction": 1.0}, "leaves none known or none to evaluate"),
    ],
)
def test_impossible_sizes_are_refused(digits: Dataset, sizes: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        draw_split(digits, **sizes)


def _users(**changed: object) -> Split:
    """Three users with two images each, of whom two are members, the second with one image that trained."""
    parts: dict[str, np.ndarray] = {
        "unit": np.array([7, 7, 8, 8, 9, 9]),
        "trained": np.array([True, True, True, False, False, False]),
        "member": np.array([True, True, True, True, False, False]),
        "role": np.array([KNOWN, KNOWN, EVALUATION, EVALUATION, EVALUATION, EVALUATION]),
    }
    parts |= {name: np.asarray(value) for name, value in changed.items()}
    units = Units(parts["unit"].astype(np.int64), parts["trained"])
    further = {VALIDATION: np.array([40, 41])}
    return Split(np.arange(6) * 3, parts["member"], parts["role"], "0" * 64, 1, further=further, units=units)


def test_units_survive_the_disk_and_are_part_of_the_digest(tmp_path: Path) -> None:
    split = _users()
    write_split(split, tmp_path / "split.parquet")
    again = read_split(tmp_path / "split.parquet")
    assert again.digest == split.digest
    assert again.unit.tolist() == [7, 7, 8, 8, 9, 9]
    assert again.trained_ids.tolist() == [0, 3, 6]
    assert again.validation.tolist() == [40, 41]
    others = _users(unit=[7, 7, 8, 8, 8, 8], member=[True] * 2 + [False] * 4, trained=[True] * 2 + [False] * 4)
    fewer_trained = _users(trained=[True, False, True, False, False, False])
    assert len({split.digest, others.digest, fewer_trained.digest}) == 3


def test_by_unit_a_split_has_one_row_for_each() -> None:
    split = _users()
    rows = split.by_unit()
    assert rows.sample_id.tolist() == sorted(set(split.unit.tolist()))
    assert rows.units is None
    assert rows.by_unit() is rows
    of_unit = dict(zip(rows.sample_id.tolist(), zip(rows.member, rows.role, strict=True), strict=True))
    for unit, member, role in zip(split.unit.tolist(), split.member, split.role, strict=True):
        assert of_unit[unit] == (member, role)


def test_without_units_every_sample_is_one_and_members_are_trained(digits: Dataset) -> None:
    split = draw_split(digits, members=30, non_members=30, seed=2)
    assert (split.unit == split.sample_id).all()
    assert (split.trained == split.member).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"member": [True, False, True, True, False, False], "trained": [False] * 6}, "7 of a split .* one membership"),
        ({"role": [KNOWN, EVALUATION] + [EVALUATION] * 4}, "7 of a split .* one role"),
        ({"trained": [False] * 4 + [True, False]}, "trained on and belong to no member"),
        ({"unit": [7, 8, 9]}, "6 samples names 3 units"),
    ],
)
def test_units_that_contradict_themselves_are_refused(changed: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _users(**changed)


def test_candidates_are_on_neither_side_and_come_back_from_disk(digits: Dataset, tmp_path: Path) -> None:
    place = np.arange(len(digits))
    split = split_by_membership(digits, place < 100, candidate=place >= 1700)
    np.testing.assert_array_equal(split.candidates, np.arange(1700, len(digits)))
    assert split.used is None
    assert len(split.sample_id) == 1700
    np.testing.assert_array_equal(split.asked[-len(split.candidates) :], split.candidates)
    write_split(split, tmp_path / "split.parquet")
    again = read_split(tmp_path / "split.parquet")
    assert again.digest == split.digest
    np.testing.assert_array_equal(again.candidates, split.candidates)


def test_a_candidate_whose_membership_is_known_is_refused(digits: Dataset) -> None:
    split = split_by_membership(digits, np.arange(len(digits)) < 100)
    with pytest.raises(DataError, match="sample 7 of a split is a candidate"):
        replace(split, further={CANDIDATES: np.array([7, 9])})
