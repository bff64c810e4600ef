"""The verdict on a whole report, with care for how many audits it holds."""

from collections.abc import Iterator, Sequence

from latentprint.attack_engine.questions.header import Control, Outcome, Verdict
from latentprint.attack_engine.questions.membership.controls import LOOK_ERROR
from latentprint.attack_engine.questions.membership.judge import OPENINGS
from latentprint.attack_engine.questions.membership.looks import leak_evidence, reversal
from latentprint.attack_engine.questions.membership.results import MembershipFinding
from latentprint.attack_engine.questions.membership.wording import (
    IMAGES_PAIR,
    attack_words,
    failure_words,
    labelled,
    look_words,
    pair_words,
    percent,
    share_words,
)
from latentprint.attack_engine.statistics.multiple_testing import holm

_CLAIMS = (Outcome.FOUND, Outcome.CONDITIONAL, Outcome.INDICATED)
_OVER_ALL = "95 % confidence over all of them together"


def overall_verdict(audits: Sequence[MembershipFinding], stands: Sequence[bool], pair: str = IMAGES_PAIR) -> Verdict:
    """The verdict on a report's audits of membership.

    A failed null control makes all of it not valid, and the first words say so. Otherwise a leak is claimed where at
    least one audit's own verdict claims one and the p-value of its two looks stands after Holm's correction over all
    audits of the report, so that a report where nothing leaks claims otherwise in at most 5 % of cases however many
    audits it has, and however much the controls find. A separation in the other direction is claimed in at most 2.5 %
    more.

    Args:
        audits: at least one.
        stands: whether the p-value of each stands after the correction.
        pair: one member and one non-member, in words.
    """
    failed = [(audit, control) for audit in audits for control in audit.failed_controls]
    if failed:
        return _failed_report(audits, failed)
    found = [audit for audit, passes in zip(audits, stands, strict=True) if passes and audit.verdict.outcome.claims]
    if found:
        return _leaking_report(audits, found, pair)
    backwards = holm([reversal(audit.result.evaluation, audit.result.validity) for audit in audits], LOOK_ERROR)
    turned = [a for a, passes in zip(audits, backwards, strict=True) if passes and _is(a, Outcome.REVERSED)]
    if turned:
        return _turned_report(audits, turned, pair)
    return _quiet_report(audits)


def _failed_report(audits: Sequence[MembershipFinding], failed: Sequence[tuple[MembershipFinding, Control]]) -> Verdict:
    controls = sum(len(audit.controls) for audit in audits)
    audit, control = failed[0]
    sentence = (
        f"Not valid: {len(failed)} of {controls} null controls failed, so nothing here proves a leak. "
        f"First, {audit.name}: {_failure(audit, control)}"
    )
    sound = [audit for audit in audits if audit.verdict.outcome.claims]
    reasons = [f"{audit.name}: {_failure(audit, control)}" for audit, control in failed]
    if sound:
        reasons.append(f"Above chance with its own controls holding: {', '.join(audit.name for audit in sound)}.")
    return labelled(Outcome.INVALID, sentence, tuple(reasons))


def _leaking_report(audits: Sequence[MembershipFinding], found: Sequence[MembershipFinding], pair: str) -> Verdict:
    """The strongest kind of claim that some audit allows; the others are reasons."""
    outcome = next(kind for kind in _CLAIMS if any(_is(audit, kind) for audit in found))
    own = [audit for audit in found if _is(audit, outcome)]
    strongest = min(own, key=lambda audit: audit.p_value)
    evaluation, validity = strongest.result.evaluation, strongest.result.validity
    what = look_words(evaluation, leak_evidence(evaluation, validity).look, pair)
    opening, condition = OPENINGS[outcome]
    sentence = (
        f"{opening} in {len(own)} of {_count(audits)}{condition} ({_OVER_ALL}). Strongest, "
        f"{strongest.name}: {what}. {_controls_sentence(audits)}"
    )
    reasons = [f"{audit.name}: {attack_words(audit.result.evaluation)}" for audit in own]
    reasons += [f"{audit.name}: {audit.verdict.sentence}" for audit in found if audit not in own]
    return labelled(outcome, sentence, (*reasons, *_others(audits, found)))


def _turned_report(audits: Sequence[MembershipFinding], turned: Sequence[MembershipFinding], pair: str) -> Verdict:
    lowest = min(turned, key=lambda audit: audit.result.evaluation.p_value_below)
    sentence = (
        f"Separates in the other direction in {len(turned)} of {_count(audits)} ({_OVER_ALL}): non-members are scored "
        f"above members. Clearest, {lowest.name}: {pair_words(lowest.result.evaluation.auc, pair)}."
    )
    return labelled(Outcome.REVERSED, sentence, tuple(_others(audits, turned)))


def _quiet_report(audits: Sequence[MembershipFinding]) -> Verdict:
    valid = [audit for audit in audits if audit.verdict.outcome.is_valid]
    if not valid:
        constant = all(_is(audit, Outcome.UNREADABLE) for audit in audits)
        sentence = (
            f"Not valid: none of {_count(audits)} can be believed. {audits[0].name}: {audits[0].verdict.sentence}"
        )
        reasons = tuple(f"{audit.name}: {audit.verdict.sentence}" for audit in audits)
        return labelled(Outcome.UNREADABLE if constant else Outcome.INVALID, sentence, reasons)
    sentence = (
        f"None found at this power in {_count(valid)}: no attack told members from non-members beyond guessing and "
        f"beyond every control, at {_OVER_ALL}; {_power(valid)}."
    )
    return labelled(Outcome.NONE, sentence, tuple(_others(audits, [])))


def _power(valid: Sequence[MembershipFinding]) -> str:
    """What most audits of these sizes would have shown, taken singly."""
    powers = [audit.result.validity.power for audit in valid]
    pairs = f"an attack that is right in {percent(max(power.detectable_auc for power in powers))} of pairs"
    shares = [power.detectable_share for power in powers if power.detectable_share is not None]
    wholly = ""
    if len(shares) == len(powers):
        wholly = f", or one that exposes {share_words(max(shares))} of the members wholly,"
    return f"{pairs}{wholly} would be seen in most audits of this size taken singly"


def _controls_sentence(audits: Sequence[MembershipFinding]) -> str:
    """What the controls said, with those that were not run."""
    absent = dict.fromkeys(name for audit in audits for name in audit.result.validity.absent)
    if not absent:
        return "Every null control holds."
    return f"The null controls that were run hold; not run everywhere: {', '.join(absent)}."


def _others(audits: Sequence[MembershipFinding], found: Sequence[MembershipFinding]) -> Iterator[str]:
    """Audits that the report's own claim leaves out, and why."""
    singly = [
        audit
        for audit in audits
        if (audit.verdict.outcome.claims or _is(audit, Outcome.REVERSED)) and audit not in found
    ]
    for words, kinds in (("Above chance", _CLAIMS), ("In the other direction", (Outcome.REVERSED,))):
        named = [audit for audit in singly if audit.verdict.outcome in kinds]
        if named:
            names = ", ".join(audit.name for audit in named)
            yield f"{words} when taken singly, not after correction for {_count(audits)}: {names}."
    quiet = [audit for audit in audits if _is(audit, Outcome.NONE)]
    if quiet:
        yield f"None found at this power: {', '.join(audit.name for audit in quiet)}."
    for audit in audits:
        if not audit.verdict.outcome.is_valid:
            yield f"{audit.name}: {audit.verdict.sentence}"


def _is(audit: MembershipFinding, outcome: Outcome) -> bool:
    return audit.verdict.outcome == outcome


def _failure(audit: MembershipFinding, control: Control) -> str:
    return failure_words(control, audit.result.validity.control_tails.get(control.name))


def _count(audits: Sequence[MembershipFinding]) -> str:
    return "1 audit" if len(audits) == 1 else f"{len(audits)} audits"
