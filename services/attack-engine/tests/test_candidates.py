"""Candidates: samples whose membership is asked for, from their folder to the report."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from latentprint.attack_engine import AuditResult, audit
from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored, ScoredCandidates
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores, read_cell, write_cell
from latentprint.attack_engine.findings.serialise import from_json
from latentprint.attack_engine.questions.membership.metrics import membership_metrics
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.runs.config import CandidatesChoice, SplitChoice
from latentprint.attack_engine.runs.samples import inspect_samples, samples_of_folders
from latentprint.core.cli import build_app
from latentprint.core.errors import DataError, UsageError
from latentprint.core.user_partitions import UserImages

_RNG = np.random.default_rng(11)
MEMBERS, OTHERS, COLLECTION = (_RNG.integers(0, 256, (size, 8, 8, 3), dtype=np.uint8) for size in (120, 200, 100))
USED = np.arange(100) < 40
ENDPOINT = EndpointSpec("grpc://127.0.0.1:1/none")
TRAINED_ON = {image.tobytes() for image in np.concatenate([MEMBERS, COLLECTION[USED]])}


def innocent(images):
    return images.reshape(len(images), -1)[:, :6].astype(np.float32) / 255


def leaky(images):
    """Embeddings a little longer for what it was trained on."""
    inside = np.array([image.tobytes() in TRAINED_ON for image in images])
    return innocent(images) + 1.1 * inside[:, None]


@pytest.fixture(scope="module")
def found() -> AuditResult:
    return audit(
        leaky,
        MEMBERS,
        OTHERS,
        candidates=COLLECTION,
        attacks="embedding-norm",
        untrained=innocent,
        split_by="coin",
        fdr=0.1,
    )


def test_a_collection_used_by_two_fifths_is_estimated_within_both_intervals(found):
    (finding,) = found.findings.audits
    candidates = finding.result.candidates
    assert finding.verdict.outcome.claims
    assert candidates.usage.candidates == 100
    assert candidates.used is None
    for estimate in (candidates.usage.debiased, candidates.usage.likelihood):
        assert estimate.interval.contains(0.4)
        assert estimate.interval.high - estimate.interval.low < 0.4
    assert not candidates.drawn_alike.rejects


def test_only_the_audited_model_is_asked_about_candidates(found):
    assert found.findings.audits[0].queries.answered == len(MEMBERS) + len(OTHERS) + len(COLLECTION)


def test_who_is_named_was_used_but_for_the_stated_share(found):
    candidates = found.findings.audits[0].result.candidates
    rows = [one.sample_id - len(MEMBERS) - len(OTHERS) for one in candidates.called]
    assert candidates.fdr == 0.1
    assert len(rows) >= 10
    assert USED[rows].mean() > 0.8
    assert [one.p_value for one in candidates.called] == sorted(one.p_value for one in candidates.called)
    probability = found.samples()["embedding-norm probability"]
    assert min(one.probability for one in candidates.called) > probability.median()


def test_the_table_of_samples_has_every_candidate(found):
    table = found.samples()
    asked = table[table["use"] == "candidate"]
    assert len(asked) == 100
    assert set(asked["group"]) == {"unknown"}
    probability, p_value = asked["embedding-norm probability"].to_numpy(), asked["embedding-norm p"].to_numpy()
    assert probability[USED].mean() > probability[~USED].mean() + 0.3
    assert p_value[USED].mean() < 0.2 < 0.4 < p_value[~USED].mean()
    assert table.loc[table["use"] == "evaluated", "embedding-norm probability"].isna().all()


def test_report_findings_and_metrics_say_it(found):
    assert from_json(found.to_json()).audits[0].result.candidates == found.findings.audits[0].result.candidates
    page = render(found.findings)
    assert "How much of the candidates is in it" in page
    assert "at most 10&nbsp;% of them wrong" in page
    measured = {one.name: one.value for one in membership_metrics(found.findings.audits[0].result)}
    assert measured["usage_likelihood_low"] < measured["usage_likelihood"] < measured["usage_likelihood_high"]
    assert measured["candidates"] == 100


def test_where_no_leak_is_claimed_nothing_is_estimated_and_nobody_named():
    given = {"candidates": COLLECTION[:30], "attacks": "embedding-norm", "untrained": innocent}
    result = audit(lambda images: innocent(images) * 2, MEMBERS, OTHERS, **given)
    candidates = result.findings.audits[0].result.candidates
    assert candidates.usage.refused.startswith("the verdict on this audit claims no leak")
    assert candidates.usage.debiased is candidates.usage.likelihood is candidates.called is None
    assert "nobody is named" in render(result.findings)


def test_a_single_candidate_has_its_probability_and_no_share():
    given = {"candidates": COLLECTION[:1], "attacks": "embedding-norm", "untrained": innocent, "split_by": "coin"}
    result = audit(leaky, MEMBERS, OTHERS, **given)
    candidates = result.findings.audits[0].result.candidates
    assert "1 candidates are too few" in candidates.usage.refused
    assert candidates.drawn_alike is None
    assert result.samples()["embedding-norm probability"].notna().sum() == 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"candidates": "a folder"}, UsageError, "members, non_members, candidates must all be folders"),
        (
            {"candidates": np.concatenate([COLLECTION, OTHERS[7:8]])},
            DataError,
            r"non_members\[7\] and candidates\[100\]",
        ),
        ({"candidates": COLLECTION[:, :4]}, DataError, "one shape"),
        ({"candidates": COLLECTION[:0]}, DataError, "holds no samples"),
        ({"candidates": COLLECTION, "fdr": 1.0}, UsageError, "fdr"),
    ],
)
def test_candidates_that_are_none_are_a_sentence(given, error, message):
    with pytest.raises(error, match=message):
        audit(leaky, MEMBERS, OTHERS, attacks="embedding-norm", **given)


def write(folder: Path, images: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{number:03}.{suffix}")
    return folder


def test_folders_of_candidates_are_on_neither_side_and_share_no_image(tmp_path):
    sides = write(tmp_path / "members", MEMBERS[:12]), write(tmp_path / "others", OTHERS[:12])
    drawn = {"side": 32, "known_fraction": 0.5, "seed": 0}
    theirs = write(tmp_path / "collection", COLLECTION[:5])
    dataset, split = samples_of_folders(*sides, ENDPOINT, candidates=theirs, **drawn)
    assert [dataset.open().files.shown(int(sample)) for sample in split.candidates] == [f"{n:03}.png" for n in range(5)]
    assert len(split.sample_id) == 24
    with pytest.raises(DataError, match="same image in two folders"):
        samples_of_folders(*sides, ENDPOINT, candidates=write(tmp_path / "same", MEMBERS[3:4]), **drawn)


def test_a_candidate_that_is_a_known_image_encoded_anew_is_warned_of(tmp_path):
    sides = write(tmp_path / "members", MEMBERS[:12]), write(tmp_path / "others", OTHERS[:12])
    theirs = write(tmp_path / "collection", MEMBERS[3:4], "jpg")
    dataset, split = samples_of_folders(*sides, ENDPOINT, candidates=theirs, side=32, known_fraction=0.5, seed=0)
    console = Console(record=True, width=1000, quiet=False, file=io.StringIO())
    assert inspect_samples([], dataset, split, console) == ()
    said = console.export_text()
    assert "1 candidate shows an image whose membership is known" in said
    assert "will not be estimated: that takes at least 20, and there are 1." in said


def test_a_split_names_its_own_candidates(tmp_path):
    folders = [f"--{name}={tmp_path}" for name in ("split", "candidates", "root")]
    ended = CliRunner().invoke(build_app(["audit"]), ["audit", "grpc://127.0.0.1:1/none", *folders])
    assert isinstance(ended.exception, UsageError)
    assert "--candidates goes with --members and --non-members" in str(ended.exception)


def test_a_cell_keeps_its_candidates(tmp_path):
    scored = Scored(np.arange(4), np.arange(4) < 2, np.arange(4.0), 1.5)
    candidates = ScoredCandidates(np.array([7, 9]), np.array([0.5, 2.5]), np.array([False, True]))
    cell = StoredScores(AuditScores(scored, None, {}, candidates=candidates), Queries(0, 0, 0, 0, None, 0.0), {})
    write_cell(cell, tmp_path / "with")
    read = read_cell(tmp_path / "with").scores.candidates
    np.testing.assert_array_equal(read.sample_id, [7, 9])
    np.testing.assert_array_equal(read.score, [0.5, 2.5])
    np.testing.assert_array_equal(read.called, [False, True])
    write_cell(replace(cell, scores=replace(cell.scores, candidates=None)), tmp_path / "without")
    assert read_cell(tmp_path / "without").scores.candidates is None


def test_an_experiment_says_how_many_of_its_candidates_are_used():
    sizes = SplitChoice("d", 40, 80, candidates=CandidatesChoice(20, 5)).sizes
    assert (sizes.used, sizes.unused) == (5, 15)
    with pytest.raises(UsageError, match="used of candidates"):
        CandidatesChoice(20, 21)
    with pytest.raises(UsageError, match="single samples"):
        SplitChoice("d", 40, 80, users=UserImages(), candidates=CandidatesChoice(20, 5))
