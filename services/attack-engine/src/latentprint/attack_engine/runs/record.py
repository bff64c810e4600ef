"""What of an experiment goes to MLflow: a parent run, and a child per victim and per audit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.membership.results import Audit
from latentprint.attack_engine.report.figures import figures
from latentprint.core.digests import digest_json
from latentprint.core.tracking import Run, finishing


def record_audit(parent: Run, audit: Audit, key: str, scores: Path) -> None:
    """Log one audit below `parent`, once: parameters, metrics, data and split digests, figures and scores.

    What is logged is judged anew in every run, and `key` is of the scores alone: the same scores under another name, or
    judged otherwise, are logged as another audit.
    """
    name, parameters, metrics = _name(audit), audit_parameters(audit), dict(audit_metrics(audit))
    key = digest_json([key, name, str(audit.verdict.outcome), repr(parameters), repr(metrics)])
    if parent.has_finished(key):
        return
    with finishing(parent.child(name, key)) as run:
        run.set_tags({"latentprint.kind": "audit", "latentprint.outcome": str(audit.verdict.outcome)})
        run.log_params(parameters)
        run.log_metrics(metrics)
        run.log_dataset(audit.victim.dataset, audit.dataset_digest, "audit")
        run.log_dataset("split", audit.split_digest, "split")
        run.log_text(audit.verdict.sentence, "verdict.txt")
        run.log_artifact(scores, "scores")
        with TemporaryDirectory() as folder:
            for name, content in figures(audit).items():
                (Path(folder) / name).write_bytes(content)
            run.log_artifact(Path(folder), "figures")
        for sweep in audit.sweeps:
            for point in sweep.points:
                step = round(point.x * 100) if point.x < 1 else round(point.x)
                run.log_metrics({f"auc_by_{sweep.name}": point.auc.value}, step)


def _name(audit: Audit) -> str:
    victim = f"{audit.shadow} -> {audit.victim.name}" if audit.shadow else audit.victim.name
    return f"{victim} / {audit.attack}"


def record_findings(run: Run, findings: Findings, files: Mapping[str, Path]) -> None:
    """Log the experiment itself: configuration, versions, the overall verdict, and `files` by artifact folder."""
    run.set_tags({"latentprint.kind": "experiment", "latentprint.outcome": str(findings.verdict.outcome)})
    run.set_tags({f"latentprint.version.{name}": value for name, value in findings.versions.items()})
    run.log_metrics({"audits": len(findings.audits), "queries": sum(a.queries.answered for a in findings.audits)})
    for folder, path in files.items():
        run.log_artifact(path, folder)


def audit_parameters(audit: Audit) -> dict[str, Any]:
    """What determined the audit, as MLflow parameters."""
    return {
        "victim": audit.victim.name,
        "shadow": audit.shadow,
        "attack": audit.attack,
        "dataset": audit.victim.dataset,
        "seed": audit.seed,
        "split_digest": audit.split_digest,
        "split_by": audit.validity.split_by,
        "dataset_digest": audit.dataset_digest,
        "weights_digest": audit.victim.card.get("weights_digest", ""),
        "known_members": audit.known_members,
        "known_non_members": audit.known_non_members,
        "query_budget": audit.queries.budget,
    }


def audit_metrics(audit: Audit) -> Iterator[tuple[str, float]]:
    """What the audit measured, as MLflow metrics; rates are fractions. What is not resolvable is not logged."""
    evaluation = audit.evaluation
    for name, estimate in (("auc", evaluation.auc), ("balanced_accuracy", evaluation.balanced_accuracy)):
        yield name, estimate.value
        yield f"{name}_low", estimate.interval.low
        yield f"{name}_high", estimate.interval.high
    yield "recall", evaluation.recall
    yield "f1", evaluation.f1
    if evaluation.precision is not None:
        yield "precision", evaluation.precision
    for point in evaluation.tpr_at_fpr:
        if point.tpr is not None and point.realised_fpr is not None:
            yield f"tpr_at_fpr_{point.target_fpr:g}", point.tpr
            yield f"realised_fpr_{point.target_fpr:g}", point.realised_fpr
    yield "epsilon_lower_bound", evaluation.epsilon.epsilon
    yield "blind_auc", audit.validity.blind.auc.value
    yield "split_test_p", audit.validity.split_test.p_value
    for control in audit.validity.null_controls:
        yield f"null_auc_{control.name.replace(' ', '_')}", control.auc.value
    for difference in audit.validity.differences:
        yield f"auc_less_{difference.control.replace(' ', '_')}", difference.auc.value
    if evaluation.tail is not None:
        yield "tail_members", evaluation.tail.true_positives
        yield "tail_p_value", evaluation.tail.p_value
    if audit.discoveries is not None:
        yield "members_found", len(audit.discoveries.sample_ids)
    for kind in ("sent", "answered", "cached", "retried"):
        yield f"images_{kind}", getattr(audit.queries, kind)
