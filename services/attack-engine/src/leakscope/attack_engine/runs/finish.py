"""The end of every run: judge the cells together, write findings and report, record all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from leakscope.attack_engine.audits.conclude import AuditedCell, conclude
from leakscope.attack_engine.audits.store import SCORES
from leakscope.attack_engine.evaluation.results import Published
from leakscope.attack_engine.evaluation.serialise import save_findings
from leakscope.attack_engine.report.render import render
from leakscope.attack_engine.runs.layout import Layout
from leakscope.attack_engine.runs.record import record_audit, record_findings
from leakscope.core.files import write_atomically
from leakscope.core.tracking import Run


@dataclass(frozen=True)
class FinishedCell:
    """A cell to be judged, and the key that its scores are stored under."""

    key: str
    audited: AuditedCell


def finish(
    title: str,
    cells: Sequence[FinishedCell],
    layout: Layout,
    run: Run,
    console: Console,
    *,
    configuration: Mapping[str, Any],
    files: Mapping[str, Path],
    scale: str = "",
    published: Sequence[Published] = (),
) -> Path:
    """Judge `cells` as one report; returns the report's path.

    Args:
        title: of the report.
        cells: in the report's order.
        layout: where findings and report go.
        run: the MLflow run of the whole.
        console: where the verdict is said.
        configuration: what was asked for, for the report.
        files: further files to record, by artifact folder.
        scale: that the experiment was run at.
        published: a paper's numbers, for the report.
    """
    audited = [cell.audited for cell in cells]
    findings = conclude(title, audited, configuration, scale=scale, published=published)
    save_findings(findings, layout.findings)
    write_atomically(layout.report, render(findings).encode())
    for cell, audit in zip(cells, findings.audits, strict=True):
        record_audit(run, audit, cell.key, layout.cell(cell.key) / SCORES)
    record_findings(run, findings, {"report": layout.report, "findings": layout.findings, **files})
    console.print(findings.verdict.sentence, soft_wrap=True)
    return layout.report
