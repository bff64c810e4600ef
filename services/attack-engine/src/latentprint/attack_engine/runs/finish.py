"""The end of every run: judge the audits together, write findings and report, say it and log all of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from latentprint.attack_engine.attacks.fitting.stored_scores import SCORES
from latentprint.attack_engine.findings.conclude import conclude
from latentprint.attack_engine.findings.results import Findings, Published, SharedImage
from latentprint.attack_engine.findings.serialise import save_findings
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.record import record_finding, record_findings
from latentprint.attack_engine.runs.samples import sample_folders
from latentprint.core.datasets import Dataset
from latentprint.core.files import write_atomically
from latentprint.core.text import say
from latentprint.core.tracking import Input, Run, dataset_input, split_input

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FinishedAudit:
    """An audit to be judged, and the key that its scores are stored under."""

    key: str
    audit: Audit


@dataclass(frozen=True)
class Report:
    """A report that was written: its page, what it shows, its table of samples, and what was audited, by digest."""

    path: Path
    findings: Findings
    table: "pd.DataFrame"
    inputs: Mapping[str, Input] = field(default_factory=dict)


def write_report(
    title: str,
    finished: Sequence[FinishedAudit],
    layout: Layout,
    *,
    configuration: Mapping[str, Any],
    scale: str = "",
    published: Sequence[Published] = (),
    shared: Sequence[SharedImage] = (),
    examined: Mapping[str, Any] = MappingProxyType({}),
) -> Report:
    """Judge the `finished` audits as one report, and write it with its findings and its table of samples.

    Args:
        title: of the report.
        finished: in the report's order.
        layout: where findings and report go.
        configuration: what was asked for, for the report.
        scale: that the experiment was run at.
        published: a paper's numbers, for the report.
        shared: images on both sides, for the report.
        examined: what was found of splits' samples before, by digest.
    """
    audits = [one.audit for one in finished]
    specs = {audit.split.dataset_digest: audit.dataset for audit in audits}
    datasets = {digest: spec.open() for digest, spec in specs.items()}
    findings = replace(
        conclude(title, audits, configuration, scale=scale, published=published, examined=examined),
        folders=tuple(folder for one in datasets.values() if one.files for folder in sample_folders(one.files)),
        shared=tuple(shared),
    )
    save_findings(findings, layout.findings)
    write_atomically(layout.report, render(findings).encode())
    inputs = {digest: dataset_input(datasets[digest], spec) for digest, spec in specs.items()}
    inputs |= {audit.split.digest: split_input(audit.split) for audit in audits}
    return Report(layout.report, findings, _write_table(audits, datasets, layout), inputs)


def _write_table(audits: Sequence[Audit], datasets: Mapping[str, Dataset], layout: Layout) -> "pd.DataFrame":
    """The table of samples, in both its files. Whoever asked for a run waits for pandas here, not before its plan."""
    from latentprint.attack_engine.questions.membership.sample_table import as_csv, as_parquet, sample_table

    table = sample_table(audits, datasets)
    for path, content in zip(layout.samples, (as_csv(table), as_parquet(table)), strict=True):
        write_atomically(path, content)
    return table


def announce(
    report: Report,
    finished: Sequence[FinishedAudit],
    layout: Layout,
    run: Run,
    console: Console,
    files: Mapping[str, Path],
) -> None:
    """Say the verdict, print the report's path to standard output, and log all of it to MLflow's `run`.

    `files` are further ones to log, by artifact folder.
    """
    say(console, report.findings.verdict.sentence)
    typer.echo(os.fsencode(report.path))  # before anything is told to a store that may not answer
    for one, finding in zip(finished, report.findings.audits, strict=True):
        record_finding(run, finding, one.key, layout.cell(one.key) / SCORES, report.inputs)
    record_findings(run, report.findings, {**layout.recorded, **files})
