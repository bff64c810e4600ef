"""The verdict on a whole report, with care for how many audits it holds."""

from collections.abc import Iterator, Sequence

from latentprint.attack_engine.questions.header import Outcome, Verdict
from latentprint.attack_engine.questions.membership.controls import FAMILY_ERROR, LOOK_ERROR
from latentprint.attack_engine.questions.membership.judge import OPENINGS, failed_controls
from latentprint.attack_engine.questions.membership.looks import leak_evidence, reversal
from latentprint.attack_engine.questions.membership.results import Audit, NullControl
from latentprint.attack_engine.questions.membership.wording import (
    attack_words,
    failure_words,
    look_words,
    pair_words,
    percent,
    share_words,
)
from latentprint.attack_engine.statistics.multiple_testing import holm
from latentprint.core.errors import DataError

_CLAIMS = (Outcome.LEAK, Outcome.CONDITIONAL, Outcome.INDICATED)
_OVER_ALL = "95 % confidence over all of them together"


def overall_verdict(audits: Sequence[Audit]) -> Verdict:
    """The verdict on a report.

    A failed null control makes the whole report not valid, and its first words say so. Otherwise a leak is claimed
    where at least one audit's own verdict claims one and the p-value of its two looks passes Holm's correction over
    all audits, so that a report where nothing leaks claims otherwise in at most 5 % of cases however many audits it
    has, and however much the controls find. A separation in the other direction is claimed in at most 2.5 % more.

    Raises:
        DataError: no audits.
    """
    if not audits:
        raise DataError("A report needs at least one audit.")
    failed = [(audit, control) for audit in audits for control in failed_controls(audit.validity)]
    if failed:
        return _failed_report(audits, failed)
    stands = holm([leak_evidence(audit.evaluation, audit.validity).p_value for audit in audits], FAMILY_ERROR)
    found = [a for a, passes in zip(audits, stands, strict=True) if passes and a.verdict.outcome.claims_leak]
    if found:
        return _leaking_report(audits, found)
    backwards = holm([reversal(audit.evaluation, audit.validity) for audit in audits], LOOK_ERROR)
    turned = [a for a, passes in zip(audits, backwards, strict=True) if passes and _is(a, Outcome.REVERSED)]
    if turned:
        return _turned_report(audits, turned)
    return _quiet_report(audits)


def _failed_report(audits: Sequence[Audit], failed: Sequence[tuple[Audit, NullControl]]) -> Verdict:
    controls = sum(len(audit.validity.null_controls) for audit in audits)
    audit, control = failed[0]
    sentence = (
        f"Not valid: {len(failed)} of {controls} null controls failed, so nothing here proves a leak. "
        f"First, {_name(audit)}: {failure_words(control)}"
    )
    sound = [audit for audit in audits if audit.verdict.outcome.claims_leak]
    reasons = [f"{_name(audit)}: {failure_words(control)}" for audit, control in failed]
    if sound:
        reasons.append(f"Above chance with its own controls holding: {', '.join(_name(audit) for audit in sound)}.")
    return Verdict(Outcome.INVALID, sentence, tuple(reasons))


def _leaking_report(audits: Sequence[Audit], found: Sequence[Audit]) -> Verdict:
    """The strongest kind of claim that some audit allows; the others are reasons."""
    outcome = next(kind for kind in _CLAIMS if any(_is(audit, kind) for audit in found))
    own = [audit for audit in found if _is(audit, outcome)]
    strongest = min(own, key=lambda audit: leak_evidence(audit.evaluation, audit.validity).p_value)
    what = look_words(strongest.evaluation, leak_evidence(strongest.evaluation, strongest.validity).look)
    opening, condition = OPENINGS[outcome]
    sentence = (
        f"{opening} in {len(own)} of {_count(audits)}{condition} ({_OVER_ALL}). Strongest, "
        f"{_name(strongest)}: {what}. {_controls_sentence(audits)}"
    )
    reasons = [f"{_name(audit)}: {attack_words(audit.evaluation)}" for audit in own]
    reasons += [f"{_name(audit)}: {audit.verdict.sentence}" for audit in found if audit not in own]
    return Verdict(outcome, sentence, (*reasons, *_others(audits, found)))


def _turned_report(audits: Sequence[Audit], turned: Sequence[Audit]) -> Verdict:
    lowest = min(turned, key=lambda audit: audit.evaluation.p_value_below)
    sentence = (
        f"Separates in the other direction in {len(turned)} of {_count(audits)} ({_OVER_ALL}): non-members are scored "
        f"above members. Clearest, {_name(lowest)}: {pair_words(lowest.evaluation.auc)}."
    )
    return Verdict(Outcome.REVERSED, sentence, tuple(_others(audits, turned)))


def _quiet_report(audits: Sequence[Audit]) -> Verdict:
    valid = [audit for audit in audits if audit.verdict.outcome.is_valid]
    if not valid:
        constant = all(_is(audit, Outcome.UNREADABLE) for audit in audits)
        sentence = (
            f"Not valid: none of {_count(audits)} can be believed. {_name(audits[0])}: {audits[0].verdict.sentence}"
        )
        reasons = tuple(f"{_name(audit)}: {audit.verdict.sentence}" for audit in audits)
        return Verdict(Outcome.UNREADABLE if constant else Outcome.INVALID, sentence, reasons)
    sentence = (
        f"None found at this power in {_count(valid)}: no attack told members from non-members beyond guessing and "
        f"beyond every control, at {_OVER_ALL}; {_power(valid)}."
    )
    return Verdict(Outcome.NONE, sentence, tuple(_others(audits, [])))


def _power(valid: Sequence[Audit]) -> str:
    """What most audits of these sizes would have shown, taken singly."""
    powers = [audit.validity.power for audit in valid]
    pairs = f"an attack that is right in {percent(max(power.detectable_auc for power in powers))} of pairs"
    shares = [power.detectable_share for power in powers if power.detectable_share is not None]
    wholly = ""
    if len(shares) == len(powers):
        wholly = f", or one that exposes {share_words(max(shares))} of the members wholly,"
    return f"{pairs}{wholly} would be seen in most audits of this size taken singly"


def _controls_sentence(audits: Sequence[Audit]) -> str:
    """What the controls said, with those that were not run."""
    absent = dict.fromkeys(name for audit in audits for name in audit.validity.absent)
    if not absent:
        return "Every null control holds."
    return f"The null controls that were run hold; not run everywhere: {', '.join(absent)}."


def _others(audits: Sequence[Audit], found: Sequence[Audit]) -> Iterator[str]:
    """Audits that the report's own claim leaves out, and why."""
    singly = [
        audit
        for audit in audits
        if (audit.verdict.outcome.claims_leak or _is(audit, Outcome.REVERSED)) and audit not in found
    ]
    for words, kinds in (("Above chance", _CLAIMS), ("In the other direction", (Outcome.REVERSED,))):
        named = [audit for audit in singly if audit.verdict.outcome in kinds]
        if named:
            names = ", ".join(_name(audit) for audit in named)
            yield f"{words} when taken singly, not after correction for {_count(audits)}: {names}."
    quiet = [audit for audit in audits if _is(audit, Outcome.NONE)]
    if quiet:
        yield f"None found at this power: {', '.join(_name(audit) for audit in quiet)}."
    for audit in audits:
        if not audit.verdict.outcome.is_valid:
            yield f"{_name(audit)}: {audit.verdict.sentence}"


def _is(audit: Audit, outcome: Outcome) -> bool:
    return audit.verdict.outcome == outcome


def _name(audit: Audit) -> str:
    return f"{audit.attack} on {audit.victim.name}"


def _count(audits: Sequence[Audit]) -> str:
    return "1 audit" if len(audits) == 1 else f"{len(audits)} audits"
