"""findings.json says what it is: its published schema holds for real findings, and is of this code."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores
from latentprint.attack_engine.attacks.fitting.sweeps import Swept
from latentprint.attack_engine.evidence.controls import EXCHANGED, UNTRAINED
from latentprint.attack_engine.findings.conclude import conclude
from latentprint.attack_engine.findings.results import Findings, LeftOut, Published, SampleFolder, SharedImage
from latentprint.attack_engine.findings.schema import findings_schema, published_schema
from latentprint.attack_engine.findings.serialise import SCHEMA_VERSION, from_json, to_json
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Outcome, VictimDescription
from latentprint.attack_engine.statistics.estimates import Histogram
from latentprint.attack_engine.statistics.figures import Correlations, Curves, NamedHistogram
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import KNOWN, Split, draw_split

SPEC = DatasetSpec("digits")
FIGURES = (
    Curves("Part response", "rank", "response", (0.5, 0.4), (0.1, 0.1), (0.3, 0.2), (0.1, 0.1)),
    Correlations("Correlations", ("a", "b"), ((1.0, None), (None, 1.0)), ((1.0, 0.5), (0.5, 1.0))),
    NamedHistogram("Fluctuation", "sum", Histogram((0.0, 1.0), (3,), (4,))),
)


@pytest.fixture(scope="module")
def split() -> Split:
    return draw_split(SPEC.open(), members=80, non_members=240, known_fraction=0.5, seed=1, source=SPEC)


def scored(split: Split, shift: float, seed: int) -> Scored:
    rows = split.role != KNOWN
    member = split.member[rows]
    return Scored(
        split.sample_id[rows], member, np.random.default_rng(seed).normal(size=member.size) + shift * member, 0
    )


def audit(split: Split, shift: float, *, twin: float = 0.0, rich: bool = False) -> Audit:
    """An audit whose scores are drawn, judged as any other."""
    judged = scored(split, 0.0, 3)
    outside = ~judged.member
    halves = np.arange(np.count_nonzero(outside)) % 2 == 0
    exchanged = Scored(judged.sample_id[outside], halves, judged.score[outside], 0)
    swept = (Swept("knowledge", 0.25, scored(split, shift / 2, 4)),) if rich else ()
    treated = {"twin": scored(split, 0.5, 5)} if rich else {}
    scores = AuditScores(
        scored(split, shift, 1),
        np.linspace(0.001, 1, judged.member.size),
        {UNTRAINED: scored(split, twin, 2), EXCHANGED: exchanged},
        FIGURES if rich else (),
        swept,
        treated,
    )
    victim = VictimDescription("v", "grpc://v", "digits", {"model": "v"}, {"epochs": 3})
    stored = StoredScores(scores, Queries(10, 9, 1, 0, None, 0.5), {})
    return Audit(victim, AttackChoice("supervisedmi").build(0), stored, SPEC, split, 0)


def leaking(split: Split) -> Findings:
    found = conclude("leak", [audit(split, 2.0, rich=True), audit(replace(split, split_by="coin"), 2.0)], {"a": [1]})
    return replace(
        found,
        scale="small",
        published=(Published("a paper", "v", "supervisedmi", {"auc": 0.6}, knowledge=0.25),),
        folders=(SampleFolder("/in", 3, (LeftOut("hidden", 1, (".x",)),)),),
        shared=(SharedImage("a.png", "b.png", True),),
    )


def violations(findings: Findings | dict[str, Any]) -> list[str]:
    content = findings if isinstance(findings, dict) else json.loads(to_json(findings))
    return [error.message for error in Draft202012Validator(published_schema()).iter_errors(content)]


def test_the_published_schema_is_of_this_code() -> None:
    assert published_schema() == findings_schema(), "run python -m latentprint.attack_engine.findings.schema"
    Draft202012Validator.check_schema(published_schema())
    assert published_schema()["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


def test_real_findings_of_every_kind_keep_the_schema(split: Split) -> None:
    reports = {
        Outcome.FOUND: leaking(split),
        Outcome.NONE: conclude("none", [audit(split, 0.0)], {}),
        Outcome.REVERSED: conclude("reversed", [audit(split, -2.0)], {}),
        Outcome.INVALID: conclude("invalid", [audit(split, 2.0, twin=2.0)], {}),
    }
    for outcome, findings in reports.items():
        assert findings.verdict.outcome is outcome
        assert violations(findings) == []
        assert from_json(to_json(findings)) == findings


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema_version"], 1),
        (["audits", 0, "effect", "estimate"], "high"),
        (["audits", 0, "verdict", "outcome"], "perhaps"),
        (["audits", 0, "figures", 0, "kind"], "pie"),
        (["audits", 0, "result", "evaluation", "auc"], 0.5),
        (["audits", 0, "result", "further"], 1),
        (["further"], 1),
    ],
)
def test_what_breaks_the_schema_is_found(split: Split, path: list[Any], value: object) -> None:
    content = place = json.loads(to_json(leaking(split)))
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert violations(content)


def test_the_result_of_a_question_that_the_schema_does_not_know_may_be_anything(split: Split) -> None:
    content = json.loads(to_json(leaking(split)))
    content["audits"][0] |= {"question": "eye-colour", "result": {"blue": 0.9}}
    assert violations(content) == []
