"""What of an experiment goes to MLflow: a parent run, and a child per victim and per audit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from latentprint.attack_engine.attacks.fitting.stored_scores import score_table
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.models.victim import VictimJob, log_bundle, log_inputs, log_victim
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.header import Finding
from latentprint.attack_engine.questions.question import Metric
from latentprint.attack_engine.report.figures import figures
from latentprint.attack_engine.runs.fitting import fitted_at
from latentprint.core.bundles import CARD, read_card
from latentprint.core.digests import digest_json
from latentprint.core.tracking import Input, Run, finishing

_MILLISECONDS = 1000
_CONTEXTS = {"dataset": "audit"}  # what a data set is an input to, where its name does not say


def record_finding(
    parent: Run, finding: Finding[Any], key: str, scores: Path, inputs: Mapping[str, Input] = MappingProxyType({})
) -> None:
    """Log one audit below `parent`, once: verdict, parameters, metrics, data set and split, figures and scores.

    Its run lasted as long as its fit. `inputs` are those data sets and splits that are known better than by digest.

    What is logged is judged anew in every run, and `key` is of the scores alone: the same scores under another name, or
    judged otherwise, are logged as another audit.
    """
    name, verdict, parameters = _name(finding), finding.verdict, finding_parameters(finding)
    metrics = list(finding_metrics(finding))
    key = digest_json([key, name, verdict.label, repr(parameters), repr(metrics)])
    if parent.has_finished(key):
        return
    started, ended = fitted_at(scores.parent)
    with finishing(parent.child(name, key, started), ended) as run:
        run.describe(verdict.sentence)
        run.set_tags({"latentprint.kind": "audit", "latentprint.outcome": verdict.label})
        run.log_params(parameters)
        for step in sorted({metric.step for metric in metrics}):
            run.log_metrics({metric.name: metric.value for metric in metrics if metric.step == step}, step)
        for what, digest in finding.digests.items():
            name = finding.victim.dataset if what == "dataset" else what
            run.log_input(inputs.get(digest, Input(name, digest)), _CONTEXTS.get(what, what))
        run.log_text(verdict.sentence, "verdict.txt")
        run.log_artifact(scores, "scores")
        run.log_table(score_table(scores), "scores.json")
        with TemporaryDirectory() as folder:
            for file, content in figures(finding).items():
                (Path(folder) / file).write_bytes(content)
            run.log_artifact(Path(folder), "figures")


def record_findings(run: Run, findings: Findings, files: Mapping[str, Path]) -> None:
    """Log the experiment itself: configuration, versions, the overall verdict, and `files` by artifact folder."""
    run.describe(findings.verdict.sentence)
    run.set_tags({"latentprint.kind": "experiment", "latentprint.outcome": findings.verdict.label})
    run.set_tags({f"latentprint.version.{name}": value for name, value in findings.versions.items()})
    run.log_metrics({"audits": len(findings.audits), "queries": sum(a.queries.answered for a in findings.audits)})
    for folder, path in files.items():
        run.log_artifact(path, folder)


def finding_parameters(finding: Finding[Any]) -> dict[str, Any]:
    """What determined the finding, as MLflow parameters."""
    return {
        "question": finding.question,
        "victim": finding.victim.name,
        "shadow": finding.attack.fitted_on,
        "attack": finding.attack.name,
        "dataset": finding.victim.dataset,
        "seed": finding.seed,
        **{f"{name}_digest": digest for name, digest in finding.digests.items()},
        "weights_digest": finding.victim.card.get("weights_digest", ""),
        "query_budget": finding.queries.budget,
        **QUESTIONS.get(finding.question).parameters(finding),
    }


def finding_metrics(finding: Finding[Any]) -> Iterator[Metric]:
    """What the audit measured, as MLflow metrics: effect, controls, queries, and what its question adds."""
    effect = _slug(finding.effect.name)
    yield Metric(effect, finding.effect.estimate)
    yield Metric(f"{effect}_low", finding.effect.interval.low)
    yield Metric(f"{effect}_high", finding.effect.interval.high)
    yield Metric("p_value", finding.p_value)
    for control in finding.controls:
        kind = "positive" if control.positive else "null"
        yield Metric(f"{kind}_{_slug(control.effect.name)}_{_slug(control.name)}", control.effect.estimate)
    for kind in ("sent", "answered", "cached", "retried"):
        yield Metric(f"images_{kind}", getattr(finding.queries, kind))
    yield from QUESTIONS.get(finding.question).metrics(finding)


def _name(finding: Finding[Any]) -> str:
    fitted_on = finding.attack.fitted_on
    victim = f"{fitted_on} -> {finding.victim.name}" if fitted_on else finding.victim.name
    return f"{victim} / {finding.attack.name}"


def _slug(name: str) -> str:
    return name.lower().replace(" ", "_")


def record_trained(parent: Run, job: VictimJob) -> None:
    """Log a model that was made before this store knew of it, from its card; it took the time that the card says."""
    card = read_card(job.folder)
    ended = round((job.folder / CARD).stat().st_mtime * _MILLISECONDS)
    started = ended - round(float(card.training.get("seconds", 0.0)) * _MILLISECONDS)
    with finishing(job.record(parent, started), ended) as run:
        log_inputs(run, job.samples)
        log_bundle(run, card)
        log_victim(run, job)
