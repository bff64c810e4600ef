"""The verdict on one audit, in words."""

from collections.abc import Iterator, Sequence

from latentprint.attack_engine.questions.header import Control, Outcome, Verdict
from latentprint.attack_engine.questions.membership.controls import LOOK_ERROR
from latentprint.attack_engine.questions.membership.looks import TAIL, leak_evidence, reversal, strongest_claim
from latentprint.attack_engine.questions.membership.results import Evaluation, Validity
from latentprint.attack_engine.questions.membership.wording import (
    IMAGES_PAIR,
    absent_words,
    attack_words,
    controls_words,
    difference_words,
    failure_words,
    labelled,
    look_words,
    pair_words,
    percent,
    power_words,
    rate_words,
    tail_words,
)
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR
from latentprint.core.splits import COIN

OPENINGS = {
    Outcome.FOUND: ("Leak found", ""),
    Outcome.CONDITIONAL: ("Leak found", ", if members and non-members were drawn alike"),
    Outcome.INDICATED: ("Leak indicated", "; no untrained control"),
}


def audit_verdict(
    evaluation: Evaluation, controls: Sequence[Control], validity: Validity, pair: str = IMAGES_PAIR
) -> Verdict:
    """What may be said of an audit taken by itself, at a level of 5 % over both looks.

    Not valid are: an audit with nothing to read, one without a null control, one whose null control fails, and one
    whose images alone tell members from non-members. A leak is claimed where a look lies above chance and above every
    control on the same samples; which controls there are caps what is claimed. A rejecting split test alone is a
    reason for caution and stated as such. `pair` is one member and one non-member in words.
    """
    faults = tuple(_faults(controls, validity))
    remarks = tuple(_remarks(evaluation, validity))
    if faults:
        outcome = Outcome.UNREADABLE if validity.unreadable else Outcome.INVALID
        return labelled(outcome, f"Not valid: {faults[0]}", (*faults, attack_words(evaluation), *remarks))
    stands = (absent_words(validity), controls_words(controls, validity), *remarks)
    reasons = tuple(reason for reason in stands if reason)
    found = leak_evidence(evaluation, validity)
    if found.p_value <= FAMILY_ERROR:
        outcome = strongest_claim(validity)
        what = look_words(evaluation, found.look, pair)
        sentence = f"{''.join(OPENINGS[outcome])}: {what}, and more than with any control on the same samples."
        return labelled(outcome, sentence, reasons)
    if reversal(evaluation, validity) <= LOOK_ERROR:
        return labelled(Outcome.REVERSED, _reversed_sentence(evaluation, pair), reasons)
    return labelled(Outcome.NONE, _quiet_sentence(evaluation, validity, pair), reasons)


def _reversed_sentence(evaluation: Evaluation, pair: str) -> str:
    return (
        f"Separates in the other direction: {pair_words(evaluation.auc, pair)}, less often than guessing. Members and "
        "non-members differ to this attack, with non-members scored higher: check that the two were not exchanged; "
        "whoever knows the sign can use it."
    )


def _quiet_sentence(evaluation: Evaluation, validity: Validity, pair: str) -> str:
    """None found, and whether that is for guessing or for a control that found about as much."""
    unbeaten = _unbeaten(evaluation, validity)
    if unbeaten:
        reading = f"above guessing, but {unbeaten}"
    elif evaluation.auc.interval.high < 0.5:
        reading = "less often than guessing, but not shown to be less than with every control"
    else:
        reading = "which guessing may explain"
    return f"None found at this power: {pair_words(evaluation.auc, pair)}, {reading}; {power_words(validity.power)}."


def _unbeaten(evaluation: Evaluation, validity: Validity) -> str:
    """The control that a look above chance does not exceed, in words; "" where no look is above chance."""
    if evaluation.p_value <= LOOK_ERROR:
        closest = max(validity.differences, key=lambda one: one.p_above)
        return f"not shown to be more than with the {closest.control} ({difference_words(closest)})"
    if evaluation.tail is not None and evaluation.tail.p_value <= LOOK_ERROR:
        closest = max(validity.differences, key=lambda one: one.p_tail or 0.0)
        return f"{tail_words(evaluation.tail)}, which is not shown to be more than with the {closest.control}"
    return ""


def _faults(controls: Sequence[Control], validity: Validity) -> Iterator[str]:
    """What forbids a claim, gravest first."""
    if validity.unreadable:
        yield f"nothing to read: {validity.unreadable}"
    for control in controls:
        if not control.holds:
            yield failure_words(control, validity.control_tails.get(control.name))
    if not controls:
        yield "no null control was run, so nothing shows what this attack finds where there is nothing to find."
    blind = validity.blind.auc
    if validity.blind.above_chance:
        yield (
            "the images alone tell members from non-members without asking the encoder "
            f"(blind baseline: {rate_words(blind.value, blind.interval)}), so the two groups were not drawn alike."
        )


def _remarks(evaluation: Evaluation, validity: Validity) -> Iterator[str]:
    if validity.split_by:
        drawn = "at random (by a coin)" if validity.split_by == COIN else f"by {validity.split_by}"
        yield f"Members were told from non-members {drawn}, as stated by whoever drew them."
    for one in validity.differences:
        yield f"The attack's AUC less that of the {one.control}: {difference_words(one)}."
    if validity.split_test.rejects:
        yield (
            "Caution: the split test finds member and non-member images unlike "
            f"(p = {validity.split_test.p_value:.3g})."
        )
    if evaluation.tail is None:
        yield f"The tail was not looked at: {evaluation.non_members:,} non-members are too few."
    elif leak_evidence(evaluation, validity).look != TAIL:
        yield f"In the tail, {tail_words(evaluation.tail)}."
    if evaluation.epsilon.epsilon > 0.0:
        yield (
            f"The scores show an epsilon of at least {evaluation.epsilon.epsilon:.2f} "
            f"({percent(evaluation.epsilon.level, 0)} confidence for this bound alone)."
        )
    for rate in evaluation.tpr_at_fpr:
        target = f"TPR@{100 * rate.target_fpr:g}%FPR"
        if rate.tpr is None or rate.realised_fpr is None:
            yield f"{target} is not resolvable with {rate.non_members:,} non-members."
        else:
            yield (
                f"{target}: {rate.true_positives} of {rate.members:,} members found ({percent(rate.tpr)}) at "
                f"{rate.false_positives} of {rate.non_members:,} non-members accused ({percent(rate.realised_fpr)})."
            )
