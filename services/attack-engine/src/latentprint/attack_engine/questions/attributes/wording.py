"""The words of a verdict on an attribute."""

from collections.abc import Mapping, Sequence

from latentprint.attack_engine.evidence.controls import UNTRAINED
from latentprint.attack_engine.questions.attributes.results import AttributesFinding, AttributesResult
from latentprint.attack_engine.questions.header import Outcome, Verdict
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR

LABELS: Mapping[Outcome, str] = {
    Outcome.FOUND: "attribute given away",
    Outcome.INDICATED: "attribute given away, untrained encoder not asked",
    Outcome.NONE: "no more than without the encoder",
    Outcome.UNREADABLE: "not valid: nothing to read",
}


def attribute_verdict(result: AttributesResult) -> Verdict:
    """What may be said of an audit taken by itself, at a level of 5 %."""
    reasons = tuple(baseline_words(result))
    if result.unreadable:
        return _verdict(Outcome.UNREADABLE, f"Not valid: nothing to read: {result.unreadable}", reasons)
    what = f"{accuracy_words(result)}; {closest_words(result)}"
    if result.baselines[0].p_value > FAMILY_ERROR:
        return _verdict(Outcome.NONE, f"Not shown to give more away than can be had without it: {what}.", reasons)
    if UNTRAINED in result.absent:
        sentence = f"Indicated that it gives {result.attribute} away, no untrained encoder being asked: {what}."
        return _verdict(Outcome.INDICATED, sentence, reasons)
    return _verdict(Outcome.FOUND, f"It gives {result.attribute} away: {what}.", reasons)


def report_verdict(findings: Sequence[AttributesFinding], stands: Sequence[bool]) -> Verdict:
    """What a report's audits of attributes say together; `stands`: whose p-value stands after Holm's correction."""
    found = [one for one, passes in zip(findings, stands, strict=True) if passes and one.verdict.outcome.claims]
    if not found:
        outcome = Outcome.NONE if any(one.verdict.outcome.is_valid for one in findings) else Outcome.UNREADABLE
        sentence = f"No attribute is shown to be given away in {_audits(len(findings))}."
        return _verdict(outcome, sentence, tuple(f"{one.name}: {one.verdict.sentence}" for one in findings))
    outcome = Outcome.FOUND if any(one.verdict.outcome is Outcome.FOUND for one in found) else Outcome.INDICATED
    strongest = max(found, key=lambda one: one.effect.estimate)
    sentence = (
        f"Attributes given away in {len(found)} of {_audits(len(findings))} (95 % confidence over all of them "
        f"together). Most, {strongest.name}: {strongest.verdict.sentence}"
    )
    return _verdict(outcome, sentence, tuple(f"{one.name}: {one.verdict.sentence}" for one in findings))


def accuracy_words(result: AttributesResult) -> str:
    """How often the attack is right."""
    return f"{result.attribute} is inferred right of {_share(result.accuracy)} of {result.evaluated:,} samples"


def closest_words(result: AttributesResult) -> str:
    """The baseline that is beaten least clearly."""
    one = result.baselines[0]
    low, high = 100 * one.excess.interval.low, 100 * one.excess.interval.high
    excess = f"{_points(one.excess.value)} (95 % interval {low:+.1f} to {high:+.1f})"
    return f"{excess} above the {one.name} (p = {one.p_value:.2g})"


def baseline_words(result: AttributesResult) -> list[str]:
    """Every baseline with its accuracy, and what was not run."""
    said = [f"{one.name}: right of {_share(one.accuracy)}." for one in result.baselines]
    return said + [f"Not run: {name}." for name in result.absent]


def _verdict(outcome: Outcome, sentence: str, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(outcome, LABELS[outcome], sentence, reasons)


def _audits(count: int) -> str:
    return f"{count:,} audit{'' if count == 1 else 's'}"


def _share(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"


def _points(excess: float) -> str:
    return f"{100 * excess:.1f} points"
