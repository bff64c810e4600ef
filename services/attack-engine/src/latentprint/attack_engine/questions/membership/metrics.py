"""What an audit of membership measured beside its AUC, as numbers for a tracking server; rates are fractions."""

from collections.abc import Iterator

from latentprint.attack_engine.questions.membership.results import Candidates, Evaluation, MembershipResult, Validity
from latentprint.attack_engine.questions.question import Metric


def membership_metrics(result: MembershipResult) -> Iterator[Metric]:
    """Decisions, rates, bounds, comparisons and sweeps. What is not resolvable is left out."""
    yield from _of_scores(result.evaluation)
    yield from _of_validity(result.validity)
    if result.discoveries is not None:
        yield Metric("members_found", len(result.discoveries.sample_ids))
    if result.candidates is not None:
        yield from _of_candidates(result.candidates)
    for sweep in result.sweeps:
        for point in sweep.points:
            step = round(point.x * 100) if point.x < 1 else round(point.x)
            yield Metric(f"auc_by_{sweep.name}", point.auc.value, step)


def _of_candidates(candidates: Candidates) -> Iterator[Metric]:
    usage = candidates.usage
    yield Metric("candidates", usage.candidates)
    for name, estimate in (("debiased", usage.debiased), ("likelihood", usage.likelihood)):
        if estimate is not None:
            yield Metric(f"usage_{name}", estimate.value)
            yield Metric(f"usage_{name}_low", estimate.interval.low)
            yield Metric(f"usage_{name}_high", estimate.interval.high)
    if candidates.called is not None:
        yield Metric("candidates_called", len(candidates.called))


def _of_scores(evaluation: Evaluation) -> Iterator[Metric]:
    accuracy = evaluation.balanced_accuracy
    yield Metric("balanced_accuracy", accuracy.value)
    yield Metric("balanced_accuracy_low", accuracy.interval.low)
    yield Metric("balanced_accuracy_high", accuracy.interval.high)
    yield Metric("recall", evaluation.recall)
    yield Metric("f1", evaluation.f1)
    if evaluation.precision is not None:
        yield Metric("precision", evaluation.precision)
    for point in evaluation.tpr_at_fpr:
        if point.tpr is not None and point.realised_fpr is not None:
            yield Metric(f"tpr_at_fpr_{point.target_fpr:g}", point.tpr)
            yield Metric(f"realised_fpr_{point.target_fpr:g}", point.realised_fpr)
    yield Metric("epsilon_lower_bound", evaluation.epsilon.epsilon)
    if evaluation.tail is not None:
        yield Metric("tail_members", evaluation.tail.true_positives)
        yield Metric("tail_p_value", evaluation.tail.p_value)


def _of_validity(validity: Validity) -> Iterator[Metric]:
    yield Metric("blind_auc", validity.blind.auc.value)
    yield Metric("split_test_p", validity.split_test.p_value)
    for difference in validity.differences:
        yield Metric(f"auc_less_{difference.control.replace(' ', '_')}", difference.auc.value)
