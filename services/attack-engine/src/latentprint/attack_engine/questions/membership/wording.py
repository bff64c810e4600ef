"""The words of a verdict on membership: numbers as sentences that a lay reader understands, rates as percentages."""

from collections.abc import Mapping, Sequence

from latentprint.attack_engine.questions.header import Control, Outcome, Verdict
from latentprint.attack_engine.questions.membership.looks import TAIL
from latentprint.attack_engine.questions.membership.results import Evaluation, Validity
from latentprint.attack_engine.statistics.estimates import Difference, Estimate, Interval, Power, TailCount

LABELS: Mapping[Outcome, str] = {
    Outcome.FOUND: "leak found",
    Outcome.CONDITIONAL: "leak found, if drawn alike",
    Outcome.INDICATED: "leak indicated",
    Outcome.NONE: "none found at this power",
    Outcome.REVERSED: "separates in the other direction",
    Outcome.UNREADABLE: "not valid: nothing to read",
    Outcome.INVALID: "not valid",
}


IMAGES_PAIR = "one image the encoder was trained on and one it was not"


def labelled(outcome: Outcome, sentence: str, reasons: Sequence[str] = ()) -> Verdict:
    """A verdict on membership, under this question's own words for its outcome."""
    return Verdict(outcome, LABELS[outcome], sentence, tuple(reasons))


def look_words(evaluation: Evaluation, look: str, pair: str) -> str:
    """What the look that spoke saw."""
    if look == TAIL and evaluation.tail is not None:
        return f"in the tail, {tail_words(evaluation.tail)}"
    return pair_words(evaluation.auc, pair)


def tail_words(tail: TailCount) -> str:
    """Members above the tail's threshold, and what guessing would put there."""
    return (
        f"{tail.true_positives:,} of {tail.members:,} members score above a threshold that at most "
        f"{tail.false_positives:,} of {tail.non_members:,} non-members pass; guessing puts {tail.expected:.1f} there "
        f"(p = {tail.p_value:.2g})"
    )


def failure_words(control: Control, tail: TailCount | None) -> str:
    """What a failed null control should have found and found."""
    found = rate_words(control.effect.estimate, control.effect.interval)
    if control.effect.contains_null and tail is not None:
        found = tail_words(tail)
    return f'the null control "{control.name}" should find nothing, but {found}.'


def absent_words(validity: Validity) -> str:
    """The null controls that were not run; "" where all were."""
    if not validity.absent:
        return ""
    return f"Not run: {', '.join(validity.absent)}."


def controls_words(controls: Sequence[Control], validity: Validity) -> str:
    """The controls as numbers."""
    names = ", ".join(f"{control.name} {control.effect.estimate:.3f}" for control in controls)
    return (
        f"Controls: AUC of {names}; blind baseline {validity.blind.auc.value:.3f}; "
        f"split test p = {validity.split_test.p_value:.3g}."
    )


def attack_words(evaluation: Evaluation) -> str:
    """The attack's AUC with its interval."""
    return f"AUC {decimal_words(evaluation.auc)}."


def difference_words(difference: Difference) -> str:
    """An AUC difference with its interval and p-value."""
    return f"{decimal_words(difference.auc)}, p = {difference.p_above:.2g}"


def pair_words(auc: Estimate, pair: str) -> str:
    """An AUC as what it is: how often the right one of a pair, a member and a non-member in words, is picked."""
    return (
        f"given {pair}, the attack picks the right one in "
        f"{percent(auc.value)} of cases ({interval_words(auc.interval)}; guessing gives 50 %)"
    )


def rate_words(auc: float, interval: Interval) -> str:
    """The same of a control, in short."""
    return f"it picks the member out of a pair in {percent(auc)} of cases ({interval_words(interval)})"


def power_words(power: Power) -> str:
    """What so many samples would have shown, of both looks."""
    tail = ""
    if power.detectable_share is not None:
        tail = f", or {share_words(power.detectable_share)} of the members wholly exposed,"
    return (
        f"with {power.members:,} members and {power.non_members:,} non-members a rate of "
        f"{percent(power.detectable_auc)}{tail} would be found with a probability of {percent(power.power, 0)}"
    )


def share_words(share: float) -> str:
    """A share of members as a percentage, never rounded to nothing."""
    return percent(share, 1 if share >= 0.01 else 2)


def decimal_words(estimate: Estimate) -> str:
    """A plain number with its interval."""
    interval = estimate.interval
    return f"{estimate.value:.3f} ({_level_words(interval)} {interval.low:.3f} to {interval.high:.3f})"


def interval_words(interval: Interval) -> str:
    """An interval of fractions in percent, with its level."""
    return f"{_level_words(interval)} {100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return f"{100 * fraction:.{digits}f} %"


def _level_words(interval: Interval) -> str:
    return f"{100 * interval.level:.4g} % interval"
