from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import EVALUATION, KNOWN, draw_split, read_split, split_by_membership, write_split


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
