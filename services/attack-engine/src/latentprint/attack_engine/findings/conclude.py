"""From audits to findings: each judged by its question, all controls as one family, one verdict over the report."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from latentprint.attack_engine.findings.overall import overall_verdict
from latentprint.attack_engine.findings.results import Findings, Published
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Finding
from latentprint.core.versions import versions

_LIBRARIES = ("latentprint-attack-engine", "latentprint-core", "latentprint-trainer", "numpy", "ray", "scipy", "torch")


def conclude(
    title: str,
    audits: Sequence[Audit],
    configuration: Mapping[str, Any],
    *,
    scale: str = "",
    published: Sequence[Published] = (),
    examined: Mapping[str, Any] = MappingProxyType({}),
) -> Findings:
    """Judge `audits` as one report; the same audits give the same findings, whenever they are judged.

    `examined` holds what was found of a split's samples before, by its digest.
    """
    findings = tuple(_judged(audits, examined))
    return Findings(
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=overall_verdict(findings),
        audits=findings,
        configuration=configuration,
        versions=versions(*_LIBRARIES),
        scale=scale,
        published=tuple(published),
    )


def _judged(audits: Sequence[Audit], examined: Mapping[str, Any]) -> list[Finding[Any]]:
    """The findings in the audits' order."""
    controls = sum(len(audit.stored.scores.controls) for audit in audits)
    found: dict[int, Finding[Any]] = {}
    for question in dict.fromkeys(audit.question for audit in audits):
        own = {place: audit for place, audit in enumerate(audits) if audit.question == question}
        judged = QUESTIONS.get(question).judge(list(own.values()), controls=controls, examined=examined)
        found |= zip(own, judged, strict=True)
    return [found[place] for place in range(len(audits))]
