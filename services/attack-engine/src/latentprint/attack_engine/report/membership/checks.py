"""The validity block as a list of checks, each with its result in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from latentprint.attack_engine.evidence.controls import BLIND, EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.questions.header import Control
from latentprint.attack_engine.questions.membership.results import MembershipFinding, Validity
from latentprint.attack_engine.questions.membership.wording import tail_words
from latentprint.attack_engine.report import words
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Power, SplitTest

_SEES = "the method sees membership where none can be seen"
_ABSENT = {
    UNTRAINED: "Without an untrained encoder of the same architecture, no leak can be claimed, only indicated.",
    PLACEBO: (
        "No trained encoder that saw neither members nor non-members was asked, so that a difference in what the "
        "images show could pass for membership, unless a coin told members from non-members."
    ),
    EXCHANGED: "There were too few non-members to put half of them in the members’ place.",
}


@dataclass(frozen=True)
class ValidityCheck:
    """One check. `passed` is None for what informs without being passed or failed."""

    name: str
    passed: bool | None
    result: str
    meaning: str


def checks(finding: MembershipFinding) -> Iterator[ValidityCheck]:
    """Every check of a finding's validity, null controls first."""
    validity = finding.result.validity
    for control in finding.controls:
        yield _null_control(control, validity)
    if not finding.controls:
        meaning = "Without a control that cannot leak, no claim of leakage can be made."
        yield ValidityCheck("Null control", False, "none was run", meaning)
    for name in validity.absent:
        yield ValidityCheck(f"Null control: {name}", None, "not run", _ABSENT[name])
    yield _blind(validity.blind, validity)
    yield _split(validity.split_test)
    yield _power(validity.power)


def _null_control(control: Control, validity: Validity) -> ValidityCheck:
    controls = validity.controls_in_report
    level = words.nominal(control.effect.interval.level)
    ends = "holds 0.5, as it must" if control.effect.contains_null else f"leaves out 0.5: {_SEES}"
    meaning = (
        f"{_sentence(control.description)} Its {level} interval, corrected for {words.plural(controls, 'control')} in "
        f"this report, {ends}."
    )
    tail = validity.control_tails.get(control.name)
    if tail is not None:
        meaning += f" In its tail, {tail_words(tail)}."
        if not control.holds and control.effect.contains_null:
            meaning += f" That is more than guessing explains: {_SEES}."
    meaning += _difference(control.name, validity)
    return ValidityCheck(f"Null control: {control.name}", control.holds, f"AUC {words.effect(control.effect)}", meaning)


def _difference(control: str, validity: Validity) -> str:
    """The attack less the control on the same samples, as a further sentence; "" where it scored others."""
    for one in validity.differences:
        if one.control == control:
            p_value = words.p_value(one.p_above)
            return f" The attack’s AUC less this one: {words.estimate(one.auc)}, one-sided p {p_value}."
    return ""


def _blind(blind: BlindBaseline, validity: Validity) -> ValidityCheck:
    meaning = (
        "Members and non-members differ as images, so the split itself leaks."
        if blind.above_chance
        else "Members cannot be told from non-members by their looks."
    )
    meaning += f" A classifier that never asks the encoder, cross-fitted; {blind.auc.interval.method}. "
    meaning += f"It sees: {_clause(blind.features)}."
    meaning += _difference(BLIND, validity)
    return ValidityCheck("Blind baseline", not blind.above_chance, f"AUC {words.estimate(blind.auc)}", meaning)


def _split(test: SplitTest) -> ValidityCheck:
    meaning = (
        "Member and non-member images look drawn from different sources."
        if test.rejects
        else "No sign that member and non-member images were drawn from different sources."
    )
    result = f"p {'' if test.p_value < 0.001 else '= '}{words.p_value(test.p_value)}"
    details = f"{test.method}, statistic {words.significant(test.statistic)}."
    return ValidityCheck("Split test", not test.rejects, result, f"{meaning} {_sentence(details)}")


def _power(power: Power) -> ValidityCheck:
    share = ""
    if power.detectable_share is not None:
        share = f", or {words.percent(power.detectable_share, 2)} of the members wholly exposed,"
    meaning = (
        f"{words.plural(power.members, 'member')} and {words.plural(power.non_members, 'non-member')} show an AUC of "
        f"this size{share} with probability {words.nominal(power.power)}; a smaller leak may pass unseen. TPR at "
        f"{words.nominal(power.target_fpr)} FPR needs at least "
        f"{words.plural(power.non_members_to_resolve, 'non-member')}."
    )
    return ValidityCheck("Power", None, f"detects AUC ≥ {words.decimal(power.detectable_auc)}", meaning)


def _clause(text: str) -> str:
    """`text` without its full stop, to go on after a colon."""
    return text.strip().rstrip(".")


def _sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
