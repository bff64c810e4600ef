"""Attributes: one that the embedding holds is found, what can be had without the encoder is not claimed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.attribute_scores import infer_attribute, require_attribute
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores, ControlEvidence
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores
from latentprint.attack_engine.evidence.controls import CONTROLS, MAJORITY, PIXELS, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.findings.conclude import conclude
from latentprint.attack_engine.findings.serialise import from_json, to_json
from latentprint.attack_engine.questions.attributes.results import AttributesFinding
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Outcome, VictimDescription
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.runs.stored_signals import AskedModels, AskingOptions, plan_signals
from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.attributes import labelled
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import KNOWN, Split, draw_split

SPEC = DatasetSpec("composites", {"count": 400})
DATASET = SPEC.open()
NAME = next(iter(DATASET.attributes))
SPLIT = draw_split(DATASET, members=200, non_members=200, seed=1)
TARGET = labelled(DATASET, NAME).values[SPLIT.sample_id]
CARD = {"url": "grpc://victim", "outputs": {"embedding": [8]}}


def attack(**options: object) -> Attack:
    return AttackChoice("attribute-inference", {"attribute": NAME, **options}, inference_options={"epochs": 30}).build(
        0
    )


def embedding(holds: float, seed: int = 0) -> Evidence:
    """Eight numbers a sample; the first ones hold its value, `holds` deviations apart."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(TARGET), 8)).astype(np.float32)
    values[np.arange(len(TARGET)), TARGET % 8] += holds
    return Evidence({"answer-embedding": values})


def scores(victim: Evidence, twin: Evidence | None, split: Split = SPLIT) -> AuditScores:
    return infer_attribute(attack(), split, DATASET, victim, ControlEvidence(twin), 0)


def found(victim: Evidence, twin: Evidence | None) -> AttributesFinding:
    stored = StoredScores(scores(victim, twin), Queries(400, 400, 0, 0, None, 1.0), CARD)
    seen = VictimDescription("victim", "grpc://victim", SPEC.name, CARD)
    findings = conclude("Attributes", [Audit(seen, attack(), stored, SPEC, SPLIT, 0, described=CONTROLS)], {})
    assert from_json(to_json(findings)) == findings
    assert NAME in render(findings)
    (finding,) = findings.audits
    return finding


def test_an_attribute_that_the_embedding_holds_is_given_away() -> None:
    finding = found(embedding(6.0), embedding(0.0, 1))
    assert finding.verdict.outcome is Outcome.FOUND
    assert finding.effect.interval.low > 0.1
    assert all(control.holds for control in finding.controls)
    assert {one.name for one in finding.result.baselines} == {MAJORITY, PIXELS, UNTRAINED}
    assert finding.result.accuracy.value > 0.9
    assert sum(one.samples for one in finding.result.recalls) == finding.result.evaluated


def test_what_an_untrained_encoder_gives_too_is_not_claimed() -> None:
    finding = found(embedding(6.0), embedding(6.0, 1))
    assert finding.verdict.outcome is Outcome.NONE
    assert finding.result.baselines[0].name == UNTRAINED


def test_without_an_untrained_encoder_it_is_indicated_at_most() -> None:
    finding = found(embedding(6.0), None)
    assert finding.verdict.outcome is Outcome.INDICATED
    assert finding.result.absent == (UNTRAINED,)


def test_nothing_is_given_away_by_noise_or_by_a_constant() -> None:
    assert found(embedding(0.0), embedding(0.0, 1)).verdict.outcome is Outcome.NONE
    constant = Evidence({"answer-embedding": np.ones((len(TARGET), 8), dtype=np.float32)})
    assert found(constant, embedding(0.0, 1)).verdict.outcome is Outcome.UNREADABLE


def test_the_fit_sees_no_evaluated_sample() -> None:
    victim = embedding(1.5)
    known = SPLIT.role == KNOWN
    changed = {"answer-embedding": np.where(known[:, None], victim.values["answer-embedding"], 0)}
    first, second = scores(victim, victim), scores(victim, Evidence(changed))
    np.testing.assert_array_equal(first.scored.score, second.scored.score)
    assert np.ptp(second.controls[UNTRAINED].score) <= 1  # every evaluated sample reads alike, and is guessed alike
    assert len(first.scored.score) == np.count_nonzero(~known)


def test_no_encoder_is_asked_that_only_other_questions_read(tiny_bundle: Path, tmp_path: Path) -> None:
    sides = dict.fromkeys(("victim", "twin", "placebo"), EndpointSpec(f"local:{tiny_bundle}", threads=1))
    asked = AskedModels(sides, SPEC, SPLIT, tmp_path)
    membership = AttackChoice("encodermi").build(0)
    plan = plan_signals([attack(), membership], asked, AskingOptions(), Console(quiet=True))
    both = (*attack().signals, *membership.signals)
    assert {one.side: one.signals for one in plan.wanted} == {
        "victim": both,
        "twin": both,
        "placebo": membership.signals,
    }


def test_what_cannot_be_inferred_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match="attribute"):
        require_attribute(attack(attribute="no-such"), DATASET, SPLIT)
    with pytest.raises(UsageError, match="softmax-mlp"):
        require_attribute(AttackChoice("attribute-inference", {"attribute": NAME}, "logistic").build(0), DATASET, SPLIT)
    one = TARGET[0] == TARGET
    alike = replace(SPLIT, sample_id=SPLIT.sample_id[one], member=SPLIT.member[one], role=SPLIT.role[one])
    with pytest.raises(DataError, match=r"is the same for all \d+ known samples"):
        require_attribute(attack(), DATASET, alike)
    told = replace(SPLIT, member=one)
    with pytest.raises(DataError, match=rf"is the same for all {one.sum()} members, so that whatever tells"):
        require_attribute(attack(), DATASET, told)
    few = replace(SPLIT, sample_id=SPLIT.sample_id[:8], member=SPLIT.member[:8], role=SPLIT.role[:8])
    with pytest.raises(DataError, match="at least 10 known"):
        require_attribute(attack(), DATASET, few)
