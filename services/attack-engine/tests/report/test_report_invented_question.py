"""A question that nobody thought of, with another effect and null value, goes everywhere by its header alone."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.findings.overall import overall_verdict
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.findings.serialise import from_json, to_json
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.header import (
    AttackDescription,
    Control,
    Effect,
    Finding,
    Outcome,
    Verdict,
    VictimDescription,
)
from latentprint.attack_engine.questions.question import Metric
from latentprint.attack_engine.report.figures import figures
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.runs.record import finding_metrics, finding_parameters, record_finding
from latentprint.attack_engine.statistics.estimates import Interval
from latentprint.attack_engine.statistics.figures import Curves
from latentprint.core.tracking import default_uri, finishing, open_run

NAME, EFFECT = "eye-colour", "accuracy excess"
CURVES = Curves("Excess by layer", "layer", "excess", (0.1, 0.2), (0.01, 0.01), (0.0, 0.1), (0.01, 0.01))


@dataclass(frozen=True)
class EyeColour:
    """What only this question finds."""

    accuracy: float
    majority: float


@dataclass(frozen=True)
class EyeColourQuestion:
    """Whether an embedding gives away the colour of eyes, beyond always guessing the most frequent."""

    title: str = "Colour of eyes"
    result: type[EyeColour] = EyeColour

    def judge(self, audits: Sequence[object], *, controls: int, examined: Mapping[str, object]) -> list[Finding]:
        return []

    def overall(self, findings: Sequence[Finding[EyeColour]], stands: Sequence[bool]) -> Verdict:
        found = [finding.name for finding, passes in zip(findings, stands, strict=True) if passes]
        outcome = Outcome.FOUND if found else Outcome.NONE
        return Verdict(
            outcome, "colour given away" if found else "colour kept", f"Given away by {len(found)}.", (*found,)
        )

    def parameters(self, finding: Finding[EyeColour]) -> Mapping[str, object]:
        return {"majority": finding.result.majority}

    def metrics(self, finding: Finding[EyeColour]) -> Iterator[Metric]:
        yield Metric("accuracy", finding.result.accuracy)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QUESTIONS, "_entries", {**QUESTIONS._entries})
    QUESTIONS.add(NAME, EyeColourQuestion(), summary="the colour of eyes", source="this test")


def excess(value: float) -> Effect:
    return Effect(EFFECT, value, Interval(value - 0.04, value + 0.04, 0.95, "Clopper-Pearson"), 0.0)


def finding(victim: str, value: float, p_value: float, *, holds: bool = True) -> Finding[EyeColour]:
    found = value > 0.05
    return Finding(
        question=NAME,
        victim=VictimDescription(victim, f"grpc://{victim}", "faces", {"model": victim}, {}),
        attack=AttackDescription("probe", "a network on the embedding", "Song and Shmatikov 2020"),
        effect=excess(value),
        p_value=p_value,
        controls=(
            Control("untrained encoder", "the same on an untrained encoder", excess(0.0 if holds else 0.3), holds),
        ),
        verdict=Verdict(
            Outcome.FOUND if found else Outcome.NONE, "colour given away" if found else "colour kept", "One sentence."
        ),
        queries=Queries(10, 10, 0, 0, None, 1.0),
        digests={"dataset": "d1", "split": "s1"},
        figures=(CURVES,),
        seed=0,
        result=EyeColour(0.5 + value, 0.5),
    )


def report(*audits: Finding[EyeColour]) -> Findings:
    return Findings("Eyes", "2026-11-27", overall_verdict(audits), audits)


def test_holms_correction_decides_which_of_many_stand() -> None:
    weak = [finding(f"v{i}", 0.1, p) for i, p in enumerate((0.004, 0.02, 0.03, 0.9))]
    verdict = overall_verdict(weak)
    assert verdict.reasons == ("probe on v0",)
    assert overall_verdict(weak[1:2]).reasons == ("probe on v1",)
    assert (verdict.outcome, verdict.label) == (Outcome.FOUND, "colour given away")


def test_one_correction_is_over_all_questions_and_each_has_its_say(findings: Findings) -> None:
    eyes = finding("v", 0.1, 0.02)
    assert overall_verdict([eyes]).outcome is Outcome.FOUND
    verdict = overall_verdict([eyes, *held(findings)])
    assert "Colour of eyes: Given away by 0." in verdict.sentence
    assert verdict.sentence.startswith("Membership: ")
    failed = overall_verdict([*held(findings), finding("v", 0.3, 0.0, holds=False)])
    assert failed.sentence.startswith("Colour of eyes: ")


def test_the_page_has_its_matrix_forest_plot_and_figures() -> None:
    page = render(report(finding("one", 0.12, 0.001), finding("two", 0.01, 0.4)))
    matrix = page[page.index('<table class="matrix"') : page.index("</table>")]
    assert "accuracy excess with its 95" in matrix
    assert "Chance is 0." in matrix
    assert re.findall(r'<span class="value">([^<]*)<', matrix) == ["0.120", "0.010"]
    assert "colour kept" in matrix
    forest = page[page.index('<table class="forest"') :]
    assert 'aria-label="accuracy excess from -0.1 to 0.2"' in forest
    assert forest.count('class="control"') == 2
    assert "Excess by layer" in page
    assert "AUC" not in page


def test_a_control_of_another_quantity_is_not_drawn_on_the_axis() -> None:
    audit = finding("one", 0.12, 0.001)
    (control,) = audit.controls
    plain = replace(control, effect=replace(control.effect, name="accuracy", estimate=0.9))
    page = render(report(replace(audit, controls=(plain,))))
    forest = page[page.index('<table class="forest"') :]
    assert "<td>accuracy:</td>" in forest
    assert forest.count('class="interval control"') == 0


def test_it_stands_beside_membership_on_one_page(findings: Findings) -> None:
    both = (*findings.audits, finding("one", 0.12, 0.001))
    page = render(Findings("Both", "2026-11-27", findings.verdict, both))
    assert page.count('<table class="matrix"') == page.count('<table class="forest"') == 2
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert "Colour of eyes" in page


def test_each_of_several_questions_has_a_line_of_the_verdict(findings: Findings) -> None:
    sentence = "Membership: None found. By any attack. Colour of eyes: Given away. It says: Colour of eyes."
    verdict = replace(findings.verdict, sentence=sentence, reasons=())
    page = render(Findings("Both", "2026-11-27", verdict, (*held(findings), finding("one", 0.12, 0.001))))
    header = page[page.index("<header") : page.index("</header>")]
    lines = ["By any attack.", "Colour of eyes: Given away. It says: Colour of eyes."]
    assert re.findall(r"<li>([^<]*)</li>", header) == lines


def test_a_control_that_fails_is_the_first_line() -> None:
    page = render(report(finding("one", 0.3, 0.0, holds=False)))
    assert "Not valid: 1 of 1 null control failed" in page[page.index("<h1>") : page.index("</h1>")]


def test_its_numbers_are_metrics_and_its_figures_files() -> None:
    one = finding("one", 0.12, 0.001)
    metrics = {metric.name: metric.value for metric in finding_metrics(one)}
    assert metrics["accuracy_excess"] == 0.12
    assert metrics["accuracy_excess_low"] == pytest.approx(0.08)
    assert metrics["null_accuracy_excess_untrained_encoder"] == 0.0
    assert metrics["accuracy"] == 0.62
    assert metrics["p_value"] == 0.001
    assert finding_parameters(one)["majority"] == 0.5
    assert list(figures(one)) == ["curves-1-excess-by-layer.svg"]


def test_mlflow_holds_it_as_any_other(tmp_path: Path) -> None:
    scores = tmp_path / "scores.parquet"
    columns = {"of": ["audit", "control"], "sample_id": [3, 3], "member": [True, True], "score": [0.5, 0.1]}
    pq.write_table(pa.table(columns), scores)
    uri = default_uri(tmp_path)
    with finishing(open_run(uri, "eyes", "eyes", "a" * 64, tmp_path / "mlflow")) as run:
        record_finding(run, finding("one", 0.12, 0.001), "b" * 64, scores)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("eyes")
    (child,) = (one for one in client.search_runs([experiment.experiment_id]) if one.info.run_name == "one / probe")
    assert child.data.metrics["accuracy_excess"] == 0.12
    assert child.data.metrics["accuracy"] == 0.62
    assert child.data.params["majority"] == "0.5"
    assert child.data.tags["latentprint.outcome"] == "colour given away"


def test_it_comes_back_from_json_as_it_was() -> None:
    original = report(finding("one", 0.12, 0.001))
    text = to_json(original)
    assert from_json(text) == original
    assert json.loads(text)["audits"][0]["result"] == {"accuracy": 0.62, "majority": 0.5}


def held(findings: Findings) -> list[Finding]:
    """Audits of membership whose controls hold."""
    return [audit for audit in findings.audits if not audit.failed_controls]
