"""Numbers as sentences that a lay reader understands; fractions become percentages here and nowhere else."""

from leakscope.attack_engine.evaluation.results import Estimate, Evaluation, Interval, NullControl, Validity


def failure_words(control: NullControl) -> str:
    """What a failed null control should have found and found."""
    return f'the null control "{control.name}" should find nothing, but {rate_words(control.auc)}.'


def controls_words(validity: Validity) -> str:
    """The controls as numbers."""
    names = ", ".join(f"{control.name} {control.auc.value:.3f}" for control in validity.null_controls)
    return (
        f"Controls: AUC of {names}; blind baseline {validity.blind.auc.value:.3f}; "
        f"split test p = {validity.split_test.p_value:.3g}."
    )


def attack_words(evaluation: Evaluation) -> str:
    """The attack's AUC with its interval."""
    return f"AUC {decimal_words(evaluation.auc)}."


def pair_words(auc: Estimate) -> str:
    """An AUC as what it is: how often the right one of a pair is picked."""
    return (
        "given one image the encoder was trained on and one it was not, the attack picks the right one in "
        f"{percent(auc.value)} of cases ({interval_words(auc.interval)}; guessing gives 50 %)"
    )


def rate_words(auc: Estimate) -> str:
    """The same of a control, in short."""
    return f"it picks the member out of a pair in {percent(auc.value)} of cases ({interval_words(auc.interval)})"


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
