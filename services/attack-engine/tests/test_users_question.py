"""The question of users: judged as membership is with users for samples, and said of groups and of each user."""

from dataclasses import replace

import numpy as np
import pytest

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.definition import USERS
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples, ShadowModel
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores, read_cell, write_cell
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.findings.conclude import conclude
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.findings.serialise import from_json, to_json
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Outcome, VictimDescription
from latentprint.attack_engine.questions.membership.sample_table import sample_table
from latentprint.attack_engine.questions.users.results import UsersFinding
from latentprint.attack_engine.report.render import render
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import COIN, EVALUATION, KNOWN, Split, Units

DATA = DatasetSpec("digits")
USERS_OF_A_SIDE, EACH, DIM = 60, 6, 8


@pytest.fixture(scope="module")
def split() -> Split:
    """Digits dealt out to users at random: their images say nothing of membership."""
    digits = DATA.open()
    samples = np.random.default_rng(1).permutation(len(digits))[: 2 * USERS_OF_A_SIDE * 2 * EACH]
    unit = np.arange(len(samples)) // (2 * EACH)
    member = unit < USERS_OF_A_SIDE
    trained = member & (np.arange(len(samples)) % (2 * EACH) < EACH)
    role = np.where(unit % 2 == 0, KNOWN, EVALUATION)
    return Split(samples, member, role, digits.digest, 0, DATA, {}, COIN, Units(unit, trained))


def embeddings(split: Split, seed: int, compact: float) -> Evidence:
    rng = np.random.default_rng(seed)
    spread = np.where(split.trained, compact**2, np.where(split.member, compact, 1.0))
    values = rng.normal(size=(500, DIM))[split.unit] + spread[:, None] * rng.normal(size=(len(spread), DIM))
    return Evidence({"answer-embedding": values.astype(np.float32)}, units=split.units)


@pytest.fixture(scope="module")
def audit(split: Split) -> Audit:
    attack = AttackChoice("compactness", inference="logistic").build(0)
    beside = ControlEvidence(embeddings(split, 1, 1.0), embeddings(split, 2, 1.0))
    scores = fit_and_score(attack, split, embeddings(split, 0, 0.6), beside, KnownSamples(), 0)
    queries = Queries(0, len(split.sample_id), 0, 0, None, 1.0)
    stored = StoredScores(scores, queries, {"url": "grpc://v", "outputs": {"embedding": [DIM]}})
    return Audit(VictimDescription("v", "grpc://v", "digits"), attack, stored, DATA, split, 0)


@pytest.fixture(scope="module")
def findings(audit: Audit) -> Findings:
    return conclude("users", [audit], {})


@pytest.fixture(scope="module")
def finding(findings: Findings) -> UsersFinding:
    return findings.audits[0]


def test_users_are_what_is_counted_and_what_the_verdict_speaks_of(finding: UsersFinding) -> None:
    assert finding.question == USERS
    assert finding.verdict.outcome is Outcome.FOUND
    assert "given one user whose images the encoder was trained on" in finding.verdict.sentence
    assert "image the encoder" not in finding.verdict.sentence
    assert (finding.result.known_members, finding.result.evaluation.members) == (30, 30)
    assert len(finding.controls) == 3


def test_training_members_are_called_more_often_than_others_of_theirs_and_those_more_than_non_members(
    finding: UsersFinding,
) -> None:
    rates = {group.group: group.rate for group in finding.result.groups}
    assert list(rates) == ["training members", "non-training members", "non-members"]
    assert rates["training members"] >= rates["non-training members"] > rates["non-members"] + 0.4
    accuracy = finding.result.evaluation.balanced_accuracy.value
    assert accuracy == pytest.approx((rates["non-training members"] + 1 - rates["non-members"]) / 2)
    assert [sweep.name for sweep in finding.result.sweeps] == ["share"]


def test_every_evaluated_user_has_a_probability_that_rises_with_the_score(finding: UsersFinding) -> None:
    users = finding.result.users
    assert len(users) == 60
    assert [one.score for one in users] == sorted((one.score for one in users), reverse=True)
    chances = np.array([one.probability for one in users])
    assert (np.diff(chances) <= 0).all()
    member = np.array([one.member for one in users])
    assert abs(chances.mean() - member.mean()) < 0.1
    assert chances[member].mean() > chances[~member].mean() + 0.3
    assert finding.result.calibrated_on == "known users"
    named = finding.result.discoveries
    assert named is not None
    assert set(named.sample_ids) <= {one.user for one in users}


def test_a_shadow_model_calibrates_where_no_user_of_the_victim_is_known(split: Split, audit: Audit) -> None:
    unknown = replace(split, role=np.full(len(split.role), EVALUATION))
    shadow = ShadowModel(audit.attack, embeddings(split, 7, 0.6), audit.rows.member)
    victim = embeddings(unknown, 0, 0.6)
    scores = fit_and_score(audit.attack, unknown, victim, ControlEvidence(), shadow, 0)
    assert scores.p_values is None
    one = replace(audit, split=unknown, stored=replace(audit.stored, scores=scores), shadow="s")
    (finding,) = conclude("users", [one], {}).audits
    assert finding.result.calibrated_on == "the shadow model's users"
    assert all(user.probability is not None and user.p_value is None for user in finding.result.users)


def test_findings_and_cells_survive_the_disk(audit: Audit, findings: Findings, tmp_path) -> None:
    assert from_json(to_json(findings)) == findings
    write_cell(audit.stored, tmp_path)
    read = read_cell(tmp_path)
    assert read is not None
    assert read.scores.known is not None
    np.testing.assert_array_equal(read.scores.known.score, audit.stored.scores.known.score)


def test_the_report_shows_groups_and_users(findings: Findings) -> None:
    html = render(findings)
    for text in ("Non-training members", "60 evaluated users", "share of training images", "Every user"):
        assert text in html


def test_the_table_of_samples_says_whose_each_is(audit: Audit, split: Split) -> None:
    table = sample_table([audit], {split.dataset_digest: DATA.open()})
    assert len(table) == len(split.sample_id)
    assert table["trained"].sum() == USERS_OF_A_SIDE * EACH
    scores = table[table["use"] == "evaluated"].groupby("user")["compactness score"]
    assert scores.size().eq(2 * EACH).all()
    assert scores.nunique().eq(1).all()
    assert table.loc[table["use"] == "known", "compactness score"].isna().all()


def test_metrics_name_the_groups(finding: UsersFinding) -> None:
    metrics = {metric.name: metric.value for metric in QUESTIONS.get(USERS).metrics(finding)}
    assert {"called_training_members", "called_non_training_members", "called_non_members"} <= set(metrics)
