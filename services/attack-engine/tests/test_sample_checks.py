"""What is said and refused of samples before anything is asked: classes, what was left out, images on both sides."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.evidence.types import Evidence, Population, ReferenceScores
from latentprint.attack_engine.findings.results import LeftOut, SampleFolder, SharedImage
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.runs.samples import inspect_samples, sample_folders
from latentprint.core.datasets import DatasetSpec, folders_spec
from latentprint.core.errors import DataError
from latentprint.core.splits import Split, draw_split, split_by_membership

READS, READS_NONE = "mba-m-entropy", "st"


def fill(root: Path, names: list[str], seed: int) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed + i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return root


def of(names: list[str]) -> list[str]:
    """Two images of each class folder; "" is the root itself."""
    return [f"{name}/{i}.png" if name else f"{i}.png" for name in names for i in range(2)]


def sides(tmp_path: Path, members: list[str], non_members: list[str]) -> tuple[DatasetSpec, Split]:
    fill(tmp_path / "in", of(members), 0)
    fill(tmp_path / "out", of(non_members), 100)
    spec = folders_spec(tmp_path / "in", tmp_path / "out", 32)
    dataset = spec.open()
    return spec, split_by_membership(dataset, dataset.labels["root"] == 0, source=spec)


def inspected(spec: DatasetSpec, split: Split, *attacks: str) -> tuple[tuple[SharedImage, ...], str]:
    stream = io.StringIO()
    built = [AttackChoice(name).build(0) for name in attacks]
    return inspect_samples(built, spec, split, Console(file=stream, width=80)), stream.getvalue()


@pytest.mark.parametrize(
    ("members", "non_members", "words"),
    [
        (["cat", "dog"], [""], r"in has the class folders cat, dog and \S+out has none\. Sort"),
        ([""], ["cat", "dog"], r"in has none and \S+out has the class folders cat, dog\. Sort"),
        (["cat", "dog"], ["cat", "emu"], r"in has the class folders dog and \S+out has the class folders emu beside 1"),
        (["cat", "dog"], ["cat"], r"in has the class folders dog and \S+out has no other beside 1 that all have"),
        (["cat", "Dog"], ["cat", "dog"], r"class folders Dog and \S+out has the class folders dog .*differ by case"),
        ([""], [""], r"in and \S+out have no class folders"),
        (list("abcdefghij"), ["z"], r"a, b, c, d, e, f and 4 more"),
    ],
)
def test_an_attack_that_reads_labels_is_refused_where_they_tell_the_sides_apart(
    tmp_path: Path, members: list[str], non_members: list[str], words: str
) -> None:
    spec, split = sides(tmp_path, members, non_members)
    with pytest.raises(DataError, match=words) as refused:
        inspected(spec, split, READS_NONE, READS)
    assert str(refused.value).startswith(f"{READS} reads each image's class")
    shared, said = inspected(spec, split, READS_NONE, "supervisedmi")
    assert shared == ()
    assert ("Class folders are not used" in said) == (members != non_members)


def test_the_same_classes_on_both_sides_are_fine(tmp_path: Path) -> None:
    spec, split = sides(tmp_path, ["cat", "dog"], ["dog", "cat"])
    assert inspected(spec, split, READS, READS_NONE) == ((), "")


def test_a_split_of_one_flat_folder_has_no_classes_either(tmp_path: Path) -> None:
    spec = DatasetSpec("folder", {"path": str(fill(tmp_path, [*of([""]), "7.png", "8.png"], 0)), "side": 32})
    split = draw_split(spec.open(), members=2, non_members=2, source=spec)
    with pytest.raises(DataError, match="has no class folders"):
        inspected(spec, split, READS)


def test_labels_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    spec, split = sides(tmp_path, ["cat", "dog"], [""])
    held = EvidenceFiles(spec, {}, labels=True).read(split.sample_id)
    assert held.label.shape == (0,)
    held = replace(held, values={"answer-posterior": np.full((6, 3), 1 / 3, dtype=np.float32)})
    assert AttackChoice(READS_NONE).build(0).features(held).shape == (6, 1, 3)
    with pytest.raises((ValueError, IndexError)):
        AttackChoice(READS).build(0).features(held)


def evidence_of(seed: int) -> Evidence:
    rng = np.random.default_rng(seed)

    def references(count: int) -> ReferenceScores:
        inside = np.arange(8)[:, None] % 2 == np.arange(count) % 2
        return ReferenceScores(rng.normal(size=(8, count)).astype(np.float32), inside)

    def posterior(count: int) -> np.ndarray:
        return rng.dirichlet(np.ones(4), count).astype(np.float32)

    metrics = ("loss", "max", "sd", "entropy", "m-entropy")
    labels = np.arange(20) % 4
    population = Population(posterior(12), np.arange(12) % 4, references(12))
    sequence = rng.normal(size=(20, 3, 5)).astype(np.float32)
    distances = np.c_[rng.integers(0, 4, 20), rng.random((20, 5))].astype(np.float32)  # behind the predicted class
    values = {"answer-posterior": posterior(20), "boundary-distance": distances}
    return Evidence(values, {}, labels, sequence, metrics, references(20), population)


OF_POSTERIORS = [
    name
    for name in ATTACKS.names()
    if AttackChoice(name).build(0).reading.fitted_on_shadow
    and ATTACKS.get(name).question == MEMBERSHIP
    and name not in ("seqmia-encoder", "seqmia", "seqmia-transformer", "trajectorymia")
]


@pytest.mark.parametrize("name", OF_POSTERIORS)
def test_whether_an_attack_reads_labels_is_what_it_says(name: str) -> None:
    attack, held = AttackChoice(name).build(0), evidence_of(1)
    other = replace(held, label=(held.label + 1) % 4)
    changed = not np.array_equal(attack.features(held), attack.features(other))
    assert attack.reading.reads_labels == changed


def test_distilled_sequences_read_labels_where_a_metric_does() -> None:
    for name in ("seqmia", "seqmia-transformer", "trajectorymia"):
        assert AttackChoice(name).build(0).reading.reads_labels
    assert not AttackChoice("seqmia", {"metrics": ["max", "entropy"]}).build(0).reading.reads_labels
    for name in ("seqmia-encoder", "partcrop", "partcrop+encodermi"):
        assert not AttackChoice(name).build(0).reading.reads_labels


def test_what_was_left_out_is_said_and_listed(tmp_path: Path) -> None:
    fill(tmp_path / "in", [".hidden.png", "[red]x.png"], 50)
    (tmp_path / "in" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "in" / "gone\x1b[2J.png").symlink_to("nowhere")
    for i in range(200):
        (tmp_path / "in" / f".x{i:03}").write_bytes(b"")
    spec, split = sides(tmp_path, [""], [""])
    _, said = inspected(spec, split, READS_NONE)
    assert re.search(r"Left out of \S+/in: 201 hidden: \.hidden\.png, \.x000, \.x001, \.\.\.; 1 left there", said)
    assert r"1 a link to nothing: gone\x1b[2J.png." in said
    assert "out:" not in said
    folders = list(sample_folders(spec.open().files))
    assert [folder.images for folder in folders] == [3, 2]
    hidden = next(one for one in folders[0].left_out if one.reason == "hidden")
    assert (hidden.count, len(hidden.names)) == (201, 100)
    assert LeftOut("a link to nothing", 1, (r"gone\x1b[2J.png",)) in folders[0].left_out
    assert folders[1] == SampleFolder(str(tmp_path / "out"), 2)


def test_a_re_encoding_on_the_other_side_is_named(tmp_path: Path) -> None:
    spec, split = sides(tmp_path, [""], [""])
    Image.open(tmp_path / "in" / "1.png").save(tmp_path / "out" / "again.jpg", quality=90)
    dataset = spec.open()
    split = split_by_membership(dataset, dataset.labels["root"] == 0, source=spec)
    shared, said = inspected(spec, split, READS_NONE)
    assert shared == (SharedImage("1.png", "again.jpg", False),)
    assert "Warning: 1 member shows the image of a non-member" in said
    assert "1.png and again.jpg" in said


def test_the_same_pixels_on_both_sides_of_one_folders_split_are_named(tmp_path: Path) -> None:
    fill(tmp_path, [f"{i}.png" for i in range(6)], 0)
    for i in range(6):
        Image.open(tmp_path / f"{i}.png").save(tmp_path / f"copy-{i}.bmp")
    spec = DatasetSpec("folder", {"path": str(tmp_path), "side": 32})
    dataset = spec.open()
    member = np.array([name.endswith(".bmp") for name in dataset.files.names])
    split = split_by_membership(dataset, member, source=spec)
    shared, said = inspected(spec, split, READS_NONE)
    assert {(one.member, one.non_member, one.same_pixels) for one in shared} == {
        (f"copy-{i}.bmp", f"{i}.png", True) for i in range(6)
    }
    assert "6 members show" in said
    assert "and 3 more" in said
