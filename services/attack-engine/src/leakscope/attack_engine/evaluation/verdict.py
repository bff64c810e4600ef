"""The verdict on one audit, in words."""

from collections.abc import Iterator

from leakscope.attack_engine.evaluation.results import Evaluation, NullControl, Outcome, Validity, Verdict
from leakscope.attack_engine.evaluation.wording import (
    attack_words,
    controls_words,
    decimal_words,
    failure_words,
    pair_words,
    percent,
    rate_words,
)


def audit_verdict(evaluation: Evaluation, validity: Validity) -> Verdict:
    """Leak found if the AUC's interval lies above 0.5 and the controls hold; none found at this power; or not valid.

    Not valid are: an audit without a null control, one whose null control fails, and one whose images alone tell
    members from non-members (then nothing shows that the encoder gave them away, whatever the excess over blind). A
    rejecting split test alone is a reason for caution and stated as such.
    """
    faults = tuple(_faults(validity))
    remarks = tuple(_remarks(evaluation, validity))
    if faults:
        return Verdict(Outcome.INVALID, f"Not valid: {faults[0]}", (*faults, attack_words(evaluation), *remarks))
    if evaluation.auc.interval.low > 0.5:
        sentence = f"Leak found: {pair_words(evaluation.auc)}, and every control holds."
        return Verdict(Outcome.LEAK, sentence, (controls_words(validity), *remarks))
    power = validity.power
    reading = "less often than guessing" if evaluation.auc.interval.high < 0.5 else "which guessing explains"
    sentence = (
        f"None found at this power: {pair_words(evaluation.auc)}, {reading}; with {power.members:,} "
        f"members and {power.non_members:,} non-members a rate of {percent(power.detectable_auc)} would be found "
        f"with a probability of {percent(power.power, 0)}."
    )
    return Verdict(Outcome.NONE, sentence, (controls_words(validity), *remarks))


def failed_controls(validity: Validity) -> list[NullControl]:
    """The null controls that do not hold."""
    return [control for control in validity.null_controls if not control.holds]


def _faults(validity: Validity) -> Iterator[str]:
    """What forbids a claim, gravest first."""
    for control in failed_controls(validity):
        yield failure_words(control)
    if not validity.null_controls:
        yield "no null control was run, so nothing shows what this attack finds where there is nothing to find."
    if validity.blind.above_chance:
        yield (
            "the images alone tell members from non-members without asking the encoder "
            f"(blind baseline: {rate_words(validity.blind.auc)}), so the two groups were not drawn alike."
        )


def _remarks(evaluation: Evaluation, validity: Validity) -> Iterator[str]:
    if validity.blind.above_chance and validity.excess_over_blind is not None:
        yield f"The attack's AUC less that of the blind baseline: {decimal_words(validity.excess_over_blind)}."
    if validity.split_test.rejects:
        yield (
            "Caution: the split test finds member and non-member images unlike "
            f"(p = {validity.split_test.p_value:.3g})."
        )
    if evaluation.auc.interval.high < 0.5:
        yield "The attack ranks non-members above members: check that the two were not exchanged."
    for rate in evaluation.tpr_at_fpr:
        target = f"TPR@{100 * rate.target_fpr:g}%FPR"
        if rate.tpr is None or rate.realised_fpr is None:
            yield f"{target} is not resolvable with {rate.non_members:,} non-members."
        else:
            yield (
                f"{target}: {rate.true_positives} of {rate.members:,} members found ({percent(rate.tpr)}) at "
                f"{rate.false_positives} of {rate.non_members:,} non-members accused ({percent(rate.realised_fpr)})."
            )
