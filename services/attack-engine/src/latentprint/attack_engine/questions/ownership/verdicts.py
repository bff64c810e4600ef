"""The verdicts on ownership, in words: of one audit, of a report, and what is known of them before the first query."""

from collections.abc import Iterator, Mapping, Sequence

from latentprint.attack_engine.evidence.controls import ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.questions.header import Control, Outcome, Verdict
from latentprint.attack_engine.questions.ownership.results import SUSPECT, OwnershipFinding, OwnershipResult
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Interval, MeanDifference
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR
from latentprint.core.splits import COIN

LABELS: Mapping[Outcome, str] = {
    Outcome.FOUND: "stolen or derived",
    Outcome.CONDITIONAL: "stolen or derived, if drawn alike",
    Outcome.INDICATED: "derivation indicated",
    Outcome.NONE: "none found at this power",
    Outcome.REVERSED: "private images score lower",
    Outcome.UNREADABLE: "not valid: nothing to read",
    Outcome.INVALID: "not valid",
}
_OPENINGS = {
    Outcome.FOUND: "Stolen from the victim, or derived from its private images",
    Outcome.CONDITIONAL: "Stolen or derived, if private and test images were drawn alike",
    Outcome.INDICATED: "Derivation indicated",
}
_CLAIMS = tuple(_OPENINGS)
_REVERSED_ERROR = FAMILY_ERROR / 2


def audit_verdict(result: OwnershipResult, controls: Sequence[Control]) -> Verdict:
    """What may be said of an audit taken by itself.

    Not valid are: an audit with nothing to read, one whose private and test images differ by themselves, one that flags
    an encoder which has nothing of the private images, and one that does not flag the victim itself. Derivation is
    claimed where the suspect is flagged and exceeds every negative control image by image; which controls there are
    caps what is claimed.
    """
    remarks = tuple(_remarks(result))
    faults = tuple(_faults(result, controls))
    if faults:
        outcome = Outcome.UNREADABLE if result.unreadable else Outcome.INVALID
        return _labelled(outcome, f"Not valid: {faults[0]}", (*faults, *remarks))
    tests = (result.difference, *result.paired.values())
    if max(one.p_value for one in tests) <= FAMILY_ERROR:
        outcome = strongest_claim(result)
        sentence = f"{_OPENINGS[outcome]}: {_found_words(result.difference)}, and more so than of any negative control."
        return _labelled(outcome, sentence, (*_caps(result), *remarks))
    if 1.0 - result.difference.welch_p <= _REVERSED_ERROR:
        sentence = (
            f"Private images score lower, by {difference_words(result.difference)}. That is no sign of derivation: "
            "check that private and test images were not exchanged."
        )
        return _labelled(Outcome.REVERSED, sentence, remarks)
    return _labelled(Outcome.NONE, _quiet_sentence(result), (*_caps(result), *remarks))


def strongest_claim(result: OwnershipResult) -> Outcome:
    """The most that the controls which were run allow to be said."""
    if ORIGINAL in result.absent or {UNTRAINED, PLACEBO} <= set(result.absent):
        return Outcome.INDICATED
    if PLACEBO in result.absent and result.split_by != COIN:
        return Outcome.CONDITIONAL
    return Outcome.FOUND


def foreseen(split_by: str, blind: BlindBaseline, untrained: bool, placebo: bool, original: bool) -> Iterator[str]:
    """What is known of the verdict before the first query: see `audit_verdict`."""
    if blind.above_chance:
        yield f"This audit will not be valid: {_blind_words(blind)} Draw private and test images alike."
        return
    if not original:
        yield (
            'The most that this audit can say is "derivation indicated", and that nothing was found will mean little: '
            "the victim itself is not asked. Name it (--victim)."
        )
    elif not (untrained or placebo):
        yield (
            'The most that this audit can say is "derivation indicated": no encoder is asked that has nothing of the '
            "private images. Name one that was trained without them (--reference), or an untrained one (--untrained)."
        )
    elif not placebo and split_by != COIN:
        yield (
            'The most that this audit can say is "stolen or derived, if drawn alike": name an encoder that was trained '
            "independently (--reference), or say that a coin told private from test images (--split-by coin)."
        )


def overall_verdict(findings: Sequence[OwnershipFinding], stands: Sequence[bool]) -> Verdict:
    """The verdict on a report's audits of ownership.

    A negative control that is flagged makes all of it not valid. A test that does not flag the victim itself makes that
    audit alone not valid: the others may tell. Derivation is claimed where at least one audit claims it and its p-value
    stands after Holm's correction over all audits of the report.

    Args:
        findings: at least one.
        stands: whether the p-value of each stands after the correction.
    """
    failed = [(one, control) for one in findings for control in one.failed_null_controls]
    if failed:
        first = failed[0][0]
        sentence = f"Not valid: {first.name}: {first.verdict.sentence.removeprefix('Not valid: ')}"
        return _labelled(Outcome.INVALID, sentence, tuple(f"{one.name}: {_failure_words(c)}" for one, c in failed))
    found = [one for one, passes in zip(findings, stands, strict=True) if passes and one.verdict.outcome.claims]
    reasons = tuple(f"{one.name}: {one.verdict.sentence}" for one in findings)
    if found:
        outcome = next(kind for kind in _CLAIMS if any(one.verdict.outcome == kind for one in found))
        strongest = min((one for one in found if one.verdict.outcome == outcome), key=lambda one: one.p_value)
        sentence = (
            f"{_OPENINGS[outcome]}, by {len(found)} of {_count(findings)} (95 % confidence over all of them together). "
            f"Strongest, {strongest.name}: {_found_words(strongest.result.difference)}."
        )
        return _labelled(outcome, sentence, reasons)
    valid = [one for one in findings if one.verdict.outcome.is_valid]
    if not valid:
        constant = all(one.verdict.outcome == Outcome.UNREADABLE for one in findings)
        sentence = f"Not valid: none of {_count(findings)} can be believed. {reasons[0]}"
        return _labelled(Outcome.UNREADABLE if constant else Outcome.INVALID, sentence, reasons)
    if all(one.verdict.outcome == Outcome.REVERSED for one in valid):
        return _labelled(Outcome.REVERSED, valid[0].verdict.sentence, reasons)
    sentence = (
        f"None found at this power by {_count(valid)}: no test told private from test images beyond guessing and "
        f"beyond every negative control; {_power_words([one.result for one in valid])}."
    )
    return _labelled(Outcome.NONE, sentence, reasons)


def difference_words(difference: MeanDifference) -> str:
    """A standardised difference with its interval and p-value."""
    value, interval = difference.difference.value, difference.difference.interval
    return f"{value:.2f} standard deviations ({_interval_words(interval)}), p = {difference.p_value:.2g}"


def _labelled(outcome: Outcome, sentence: str, reasons: Sequence[str] = ()) -> Verdict:
    return Verdict(outcome, LABELS[outcome], sentence, tuple(reasons))


def _found_words(difference: MeanDifference) -> str:
    return f"held-out private images score higher than test images with this encoder, by {difference_words(difference)}"


def _quiet_sentence(result: OwnershipResult) -> str:
    """None found, and whether that is for guessing or for a control that found about as much."""
    reading = "which guessing may explain"
    if result.difference.p_value <= FAMILY_ERROR:
        closest = max(result.paired, key=lambda name: result.paired[name].p_value)
        reading = (
            f"but not shown to be more than with the {closest} (more by {difference_words(result.paired[closest])})"
        )
    return (
        f"None found at this power: private images differ from test images by {difference_words(result.difference)}, "
        f"{reading}; {_power_words([result])}."
    )


def _faults(result: OwnershipResult, controls: Sequence[Control]) -> Iterator[str]:
    """What forbids a verdict, gravest first."""
    if result.unreadable:
        yield f"nothing to read: {result.unreadable}"
    if result.blind.above_chance:
        yield _blind_words(result.blind)
    for control in controls:
        if not control.holds:
            yield _failure_words(control)


def _failure_words(control: Control) -> str:
    """What a control that does not hold should have found and found."""
    found = f"{control.effect.estimate:.2f} standard deviations ({_interval_words(control.effect.interval)})"
    if control.positive:
        return f"the test cannot tell the victim itself, whose private images score {found} above test images."
    return f"the {control.name} has nothing of the private images, and they score {found} above test images with it."


def _caps(result: OwnershipResult) -> Iterator[str]:
    """What was not run, and what that forbids to say."""
    if ORIGINAL in result.absent:
        yield "The victim itself was not asked, so that nothing shows whether this test would tell it."
    if PLACEBO in result.absent:
        yield "No independently trained encoder was asked."
    if UNTRAINED in result.absent:
        yield "No untrained encoder was asked."


def _remarks(result: OwnershipResult) -> Iterator[str]:
    for name, difference in result.controls.items():
        yield f"With the {name}: {difference_words(difference)}."
    for name, difference in result.paired.items():
        yield f"The suspect's difference less that of the {name}, image by image: {difference_words(difference)}."
    published = result.published[SUSPECT]
    yield (
        f"For comparison, the published procedures, which are not valid, give p = {published.halved:.2g} (two-sided, "
        f"halved) and p = {published.resampled:.2g} ({published.subsets} subsets of the same images)."
    )
    if result.split_test.rejects:
        yield f"Caution: the split test finds private and test images unlike (p = {result.split_test.p_value:.3g})."


def _blind_words(blind: BlindBaseline) -> str:
    return (
        "private and test images differ by themselves: without asking any encoder they are told apart in "
        f"{100 * blind.auc.value:.1f} % of pairs (guessing gives 50 %)."
    )


def _power_words(results: Sequence[OwnershipResult]) -> str:
    """What would have been seen; nobody knows of a thief where the victim itself was not asked."""
    if any(ORIGINAL in result.absent for result in results):
        return "the victim itself was not asked, so that nothing shows whether this would tell even that"
    detectable = max(result.detectable for result in results)
    return f"a difference of {detectable:.2f} standard deviations would be seen in four of five audits of this size"


def _interval_words(interval: Interval) -> str:
    return f"{100 * interval.level:.4g} % interval {interval.low:.2f} to {interval.high:.2f}"


def _count(findings: Sequence[OwnershipFinding]) -> str:
    return "1 test" if len(findings) == 1 else f"{len(findings)} tests"
