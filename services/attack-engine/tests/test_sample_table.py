"""The table of all samples: every audit's scores beside the file, and nothing in it that a spreadsheet would run."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import VictimDescription
from latentprint.attack_engine.questions.membership.exposure import exposed
from latentprint.attack_engine.questions.membership.sample_table import as_csv, as_parquet, sample_table
from latentprint.attack_engine.runs.layout import part_name
from latentprint.core.datasets import Dataset, DatasetSpec, folders_spec
from latentprint.core.splits import KNOWN, Split, draw_split, split_by_membership

HOSTILE = [
    "=HYPERLINK(A1)",
    "+1",
    "-1",
    "@sum",
    "\t=1",
    "\r=1",
    "two\nlines",
    "\x1b[31mred",
    "\u202egnp",
    os.fsdecode(b"caf\xe9"),
    'a "quoted", one',
    "<script>",
]


def audited(
    split: Split, dataset: DatasetSpec, attack: str, *, victim: str = "v", shadow: str = "", label: str = ""
) -> Audit:
    """A cell whose scores are the sample ids, members' raised by half."""
    rows = split.role != KNOWN
    score = split.sample_id[rows] + 0.5 * split.member[rows]
    scored = Scored(split.sample_id[rows], split.member[rows], score.astype(np.float64), 0.0)
    p_values = None if shadow else np.linspace(0.01, 1, len(score))
    stored = StoredScores(AuditScores(scored, p_values, {}), Queries(0, 0, 0, 0, None, 0.0), {})
    choice = AttackChoice(attack, label=label)
    return Audit(
        VictimDescription(victim, f"grpc://{victim}", "data"), choice.build(0), stored, dataset, split, 0, shadow
    )


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[DatasetSpec, Split]:
    for side, names in (("in", HOSTILE), ("out", [f"{i}.png" for i in range(12)])):
        (tmp_path / side).mkdir()
        for name in names:
            pixels = np.random.default_rng(abs(hash((side, name)))).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            with open(tmp_path / side / name, "wb") as stream:
                Image.fromarray(pixels).save(stream, "PNG")
    spec = folders_spec(tmp_path / "in", tmp_path / "out", 8)
    dataset = spec.open()
    return spec, split_by_membership(dataset, dataset.labels["root"] == 0, seed=3, source=spec)


def opened(*cells: Audit) -> Mapping[str, Dataset]:
    return {cell.split.dataset_digest: cell.dataset.open() for cell in cells}


def test_one_row_a_sample_and_three_columns_an_attack(hostile: tuple[DatasetSpec, Split]) -> None:
    spec, split = hostile
    cells = [audited(split, spec, "supervisedmi"), audited(split, spec, "partcrop", label="=parts")]
    cells.append(audited(split, spec, "supervisedmi", shadow="theirs"))
    table = sample_table(cells, opened(*cells))
    assert len(table) == 24
    assert list(table.columns) == [
        *("victim", "data set", "file", "sample_id", "group", "use"),
        *("supervisedmi score", "supervisedmi percentile", "supervisedmi p"),
        *("=parts score", "=parts percentile", "=parts p"),
        *("supervisedmi fitted on theirs score", "supervisedmi fitted on theirs percentile"),
    ]
    rows = table.set_index("sample_id")
    for sample, member, role in zip(split.sample_id, split.member, split.role, strict=True):
        row = rows.loc[sample]
        assert row["group"] == ("member" if member else "non-member")
        assert row["use"] == ("known" if role == KNOWN else "evaluated")
        assert np.isnan(row["=parts score"]) == (role == KNOWN)
        if role != KNOWN:
            assert row["=parts score"] == sample + 0.5 * member
    evaluated = table.dropna(subset=["supervisedmi score"])
    assert evaluated["supervisedmi percentile"].max() == 1
    assert evaluated["supervisedmi percentile"].rank().equals(evaluated["supervisedmi score"].rank())
    assert dict(zip(split.sample_id[split.role != KNOWN], np.linspace(0.01, 1, 12), strict=True)) == dict(
        zip(evaluated["sample_id"], evaluated["supervisedmi p"], strict=True)
    )


def test_no_cell_of_the_csv_is_a_formula_or_breaks_a_line(hostile: tuple[DatasetSpec, Split]) -> None:
    spec, split = hostile
    cell = audited(split, spec, "supervisedmi", victim="=cmd|' /C calc'!A0\n\x1b[2J", label="@evil")
    content = as_csv(sample_table([cell], opened(cell)))
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert len(lines) == 25 == content.count(b"\n")
    files = {line[2] for line in lines[1:]}
    assert {"'=HYPERLINK(A1)", "'+1", "'-1", "'@sum", r"\t=1", r"\r=1", r"two\nlines", r"\x1b[31mred"} < files
    assert {r"\u202egnp", r"caf\xe9", 'a "quoted", one', "<script>"} < files
    assert lines[0][6] == "'@evil score"
    for line in lines:
        for text in line:
            assert text.isprintable()
            assert text[:1] not in ("=", "+", "@", "\t", "\r")
            assert not text.startswith("-") or float(text) < 0


def test_parquet_holds_the_same_numbers_and_names(hostile: tuple[DatasetSpec, Split]) -> None:
    spec, split = hostile
    cell = audited(split, spec, "supervisedmi")
    table = sample_table([cell], opened(cell))
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(as_parquet(table))), table, check_dtype=False)
    assert "=HYPERLINK(A1)" in set(table["file"])


def test_several_victims_and_samples_that_are_no_files() -> None:
    spec = DatasetSpec("digits")
    splits = [draw_split(spec.open(), members=10, non_members=14, seed=seed, source=spec) for seed in (0, 1)]
    cells = [
        audited(splits[0], spec, "supervisedmi", victim="first"),
        audited(splits[1], spec, "partcrop", victim="second"),
        audited(splits[0], spec, "supervisedmi", victim="first"),
    ]
    table = sample_table(cells, opened(*cells))
    assert table.groupby("victim").size().to_dict() == {"first": 24, "second": 24}
    assert set(table["file"]) == {""}
    assert table.loc[table["victim"] == "second", "supervisedmi score"].isna().all()
    first = table[table["victim"] == "first"]
    assert first["supervisedmi score"].equals(first["supervisedmi (2) score"])
    assert as_csv(table).count(b"\n") == 49


def test_exposed_samples_carry_their_file(hostile: tuple[DatasetSpec, Split]) -> None:
    spec, split = hostile
    dataset = spec.open()
    most, _ = exposed(audited(split, spec, "supervisedmi").stored.scores.scored, dataset, split, count=2)
    assert [one.file for one in most] == [dataset.files.shown(one.sample_id) for one in most]
    generated = DatasetSpec("digits")
    drawn = draw_split(generated.open(), members=10, non_members=10, source=generated)
    most, _ = exposed(audited(drawn, generated, "supervisedmi").stored.scores.scored, generated.open(), drawn)
    assert {one.file for one in most} == {""}


@pytest.mark.parametrize(
    ("subject", "folder"),
    [
        ("victim", "victim-01234567"),
        ("../../etc", "etc-01234567"),
        ("[red]a b/c\n", "red-a-b-c-01234567"),
        ("...", "endpoint-01234567"),
        ("", "endpoint-01234567"),
        ("x" * 500, "x" * 40 + "-01234567"),
        ("größe", "gr-e-01234567"),
    ],
)
def test_an_audits_folder_is_a_name_that_every_file_system_takes(subject: str, folder: str) -> None:
    assert part_name(subject, "0123456789abcdef") == folder
