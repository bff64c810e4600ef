"""The verdict on a whole report, with care for how many audits it holds. Only the findings' header is read."""

from collections.abc import Sequence
from typing import Any

from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.header import Finding, Outcome, Verdict
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR, holm
from latentprint.core.errors import DataError


def overall_verdict(findings: Sequence[Finding[Any]]) -> Verdict:
    """The verdict on a report, in the words of the questions that it asks.

    Which p-values stand is decided over all findings of all questions together (Holm 1979), so that a report where
    nothing is to be found claims otherwise in at most 5 % of cases. Of several questions, each has its say: first
    those whose controls failed, then the strongest claim.

    Raises:
        DataError: no findings.
    """
    if not findings:
        raise DataError("A report needs at least one audit.")
    stands = holm([finding.p_value for finding in findings], FAMILY_ERROR).tolist()
    verdicts = []
    for name in dict.fromkeys(finding.question for finding in findings):
        own = [(finding, passes) for finding, passes in zip(findings, stands, strict=True) if finding.question == name]
        failed = any(finding.failed_null_controls for finding, _ in own)
        question = QUESTIONS.get(name)
        verdict = question.overall([finding for finding, _ in own], [passes for _, passes in own])
        verdicts.append((not failed, list(Outcome).index(verdict.outcome), question.title, verdict))
    if len(verdicts) == 1:
        return verdicts[0][-1]
    return _together([(title, verdict) for *_, title, verdict in sorted(verdicts, key=lambda one: one[:2])])


def _together(verdicts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Several questions' verdicts as one, under the first one's outcome."""
    first = verdicts[0][1]
    sentence = " ".join(f"{title}: {verdict.sentence}" for title, verdict in verdicts)
    reasons = tuple(f"{title}: {reason}" for title, verdict in verdicts for reason in verdict.reasons)
    return Verdict(first.outcome, first.label, sentence, reasons)
