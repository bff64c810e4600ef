"""An evaluation's numbers as table rows, each with its interval and its meaning in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass

from latentprint.attack_engine.questions.membership.results import Evaluation
from latentprint.attack_engine.report import words
from latentprint.attack_engine.statistics.estimates import EpsilonBound, Estimate, TprAtFpr


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, its value, its interval ("" where none is defined) and what it means."""

    name: str
    value: str
    interval: str
    meaning: str


def measures(evaluation: Evaluation) -> Iterator[Measure]:
    """Every number of an evaluation, most telling first."""
    yield auc(evaluation.auc)
    yield Measure(
        "p-value of the AUC",
        words.p_value(evaluation.p_value),
        "",
        "One-sided: how often an attack that knows nothing would reach this AUC.",
    )
    for rate in evaluation.tpr_at_fpr:
        yield tpr(rate)
    yield epsilon(evaluation.epsilon)
    yield from _decisions(evaluation)


def headline(evaluation: Evaluation) -> list[Measure]:
    """The few numbers that lead an audit: AUC, TPR at each target FPR, and epsilon."""
    rates = [tpr(rate) for rate in evaluation.tpr_at_fpr]
    return [auc(evaluation.auc), *rates, epsilon(evaluation.epsilon)]


def auc(value: Estimate) -> Measure:
    """The area under the ROC curve."""
    meaning = (
        f"Of a random member and a random non-member, the attack scores the member higher "
        f"{words.percent(value.value, 0)} of the time; chance is {words.nominal(0.5)}. "
        f"Interval: {_method(value)}."
    )
    return Measure("AUC", words.decimal(value.value), words.decimal_interval(value.interval), meaning)


def tpr(rate: TprAtFpr) -> Measure:
    """A TPR at its target FPR, or why it cannot be resolved."""
    name = f"TPR at {words.nominal(rate.target_fpr)} FPR"
    if rate.tpr is None or rate.realised_fpr is None or rate.threshold is None or rate.interval is None:
        return Measure(name, "not resolvable", "", _not_resolvable(rate))
    held = rate.interval
    digits = 2 if rate.tpr < 0.01 else 1
    interval = rate.threshold_interval or held
    meaning = (
        f"{rate.true_positives} of {words.plural(rate.members, 'member')} found at the cost of "
        f"{rate.false_positives} of {words.plural(rate.non_members, 'non-member')} wrongly named "
        f"(realised FPR {words.percent(rate.realised_fpr, 2)}), above score {words.significant(rate.threshold)}. "
        f"Interval: {interval.method}"
    )
    if interval is not held:
        meaning += (
            f", the threshold’s own uncertainty included; were the threshold fixed beforehand, "
            f"{words.percent_interval(held, digits)} ({held.method})"
        )
    return Measure(name, words.percent(rate.tpr, digits), words.percent_interval(interval, digits), f"{meaning}.")


def _not_resolvable(rate: TprAtFpr) -> str:
    return (
        f"Not resolvable with {words.plural(rate.non_members, 'non-member')}: the smallest rate they can show is "
        f"1 in {words.count(rate.non_members)} ({words.percent(1 / rate.non_members, 2)})."
    )


def epsilon(bound: EpsilonBound) -> Measure:
    """The lower bound on epsilon and what it rules out."""
    at = f"δ = {words.power(bound.delta)}"
    searched = words.plural(bound.thresholds, "threshold")
    if bound.epsilon <= 0:
        meaning = f"No differential-privacy guarantee is ruled out by this audit ({at}; {searched} searched)."
    else:
        meaning = (
            f"With {words.nominal(bound.level)} confidence the training was not (ε, δ)-differentially private for any "
            f"ε below this, at {at}, corrected for {searched} searched. A lower bound: the true ε may be far larger."
        )
    return Measure(f"ε, lower bound at {at}", f"≥ {words.decimal(max(bound.epsilon, 0.0), 2)}", "", meaning)


def _decisions(evaluation: Evaluation) -> Iterator[Measure]:
    accuracy = evaluation.balanced_accuracy
    yield Measure(
        "Balanced accuracy",
        words.percent(accuracy.value),
        words.percent_interval(accuracy.interval),
        f"Members and non-members told apart at the attack’s own threshold, both sides counted alike; chance is "
        f"{words.nominal(0.5)}. Interval: {_method(accuracy)}.",
    )
    precision = evaluation.precision
    yield Measure(
        "Precision",
        "undefined" if precision is None else words.percent(precision),
        "",
        "The attack called nobody a member." if precision is None else "Of those called members, the share that are.",
    )
    yield Measure("Recall", words.percent(evaluation.recall), "", "Of the members, the share that were called members.")
    yield Measure("F1", words.decimal(evaluation.f1), "", "Harmonic mean of precision and recall, between 0 and 1.")


def _method(value: Estimate) -> str:
    return f"{words.nominal(value.interval.level)}, {value.interval.method}"
