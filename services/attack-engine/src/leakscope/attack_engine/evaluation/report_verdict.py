"""The verdict on a whole report, with care for how many audits it holds."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leakscope.attack_engine.evaluation.results import Audit, NullControl, Outcome, Verdict
from leakscope.attack_engine.evaluation.verdict import failed_controls
from leakscope.attack_engine.evaluation.wording import attack_words, failure_words, pair_words, percent
from leakscope.core.errors import DataError

REPORT_ERROR = 0.025


def overall_verdict(audits: Sequence[Audit]) -> Verdict:
    """The verdict on a report.

    A failed null control makes the whole report not valid, and its first words say so. Otherwise a leak is claimed
    where at least one audit's own verdict is a leak and its p-value passes Holm's correction over all audits (one-sided
    0.025 in total, the counterpart of a two-sided 95 %), so that a report where nothing leaks claims otherwise in at
    most 2.5 % of cases however many audits it has.

    Raises:
        DataError: no audits.
    """
    if not audits:
        raise DataError("A report needs at least one audit.")
    failed = [(audit, control) for audit in audits for control in failed_controls(audit.validity)]
    if failed:
        return _failed_report(audits, failed)
    stands = holm([audit.evaluation.p_value for audit in audits], REPORT_ERROR)
    found = [audit for audit, passes in zip(audits, stands, strict=True) if passes and _is(audit, Outcome.LEAK)]
    if found:
        return _leaking_report(audits, found)
    return _quiet_report(audits)


def holm(p_values: ArrayLike, error: float) -> NDArray[np.bool_]:
    """Which of `p_values` [A] to reject with probability `error` or less of any false rejection (Holm 1979)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    passes = values[order] <= error / np.arange(values.size, 0, -1)
    rejected = np.zeros(values.size, dtype=bool)
    rejected[order[: passes.size if passes.all() else int(np.argmin(passes))]] = True
    return rejected


def _failed_report(audits: Sequence[Audit], failed: Sequence[tuple[Audit, NullControl]]) -> Verdict:
    controls = sum(len(audit.validity.null_controls) for audit in audits)
    audit, control = failed[0]
    sentence = (
        f"Not valid: {len(failed)} of {controls} null controls failed, so nothing here proves a leak. "
        f"First, {_name(audit)}: {failure_words(control)}"
    )
    sound = [audit for audit in audits if _is(audit, Outcome.LEAK)]
    reasons = [f"{_name(audit)}: {failure_words(control)}" for audit, control in failed]
    if sound:
        reasons.append(f"Above chance with its own controls holding: {', '.join(_name(audit) for audit in sound)}.")
    return Verdict(Outcome.INVALID, sentence, tuple(reasons))


def _leaking_report(audits: Sequence[Audit], found: Sequence[Audit]) -> Verdict:
    strongest = max(found, key=lambda audit: audit.evaluation.auc.interval.low)
    sentence = (
        f"Leak found in {len(found)} of {_count(audits)} (95 % confidence over all of them together). Strongest, "
        f"{_name(strongest)}: {pair_words(strongest.evaluation.auc)}. Every null control holds."
    )
    reasons = [f"{_name(audit)}: {attack_words(audit.evaluation)}" for audit in found]
    return Verdict(Outcome.LEAK, sentence, (*reasons, *_others(audits, found)))


def _quiet_report(audits: Sequence[Audit]) -> Verdict:
    valid = [audit for audit in audits if not _is(audit, Outcome.INVALID)]
    if not valid:
        sentence = (
            f"Not valid: none of {_count(audits)} can be believed. {_name(audits[0])}: {audits[0].verdict.sentence}"
        )
        return Verdict(Outcome.INVALID, sentence, tuple(f"{_name(a)}: {a.verdict.sentence}" for a in audits))
    detectable = max(audit.validity.power.detectable_auc for audit in valid)
    sentence = (
        f"None found at this power in {_count(valid)}: no attack told members from non-members better than guessing "
        f"would, at 95 % confidence over all of them together; an attack that is right in {percent(detectable)} of "
        "pairs would be seen in most audits of this size taken singly."
    )
    return Verdict(Outcome.NONE, sentence, tuple(_others(audits, [])))


def _others(audits: Sequence[Audit], found: Sequence[Audit]) -> Iterator[str]:
    """Audits that the report's own claim leaves out, and why."""
    singly = [audit for audit in audits if _is(audit, Outcome.LEAK) and audit not in found]
    if singly:
        yield (
            f"Above chance when taken singly, not after correction for {_count(audits)}: "
            f"{', '.join(_name(audit) for audit in singly)}."
        )
    quiet = [audit for audit in audits if _is(audit, Outcome.NONE)]
    if quiet:
        yield f"None found at this power: {', '.join(_name(audit) for audit in quiet)}."
    for audit in audits:
        if _is(audit, Outcome.INVALID):
            yield f"{_name(audit)}: {audit.verdict.sentence}"


def _is(audit: Audit, outcome: Outcome) -> bool:
    return audit.verdict.outcome == outcome


def _name(audit: Audit) -> str:
    return f"{audit.attack} on {audit.victim.name}"


def _count(audits: Sequence[Audit]) -> str:
    return "1 audit" if len(audits) == 1 else f"{len(audits)} audits"
