"""What so many samples can show, known before the first query."""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from latentprint.attack_engine.statistics.auc import newcombe_variance
from latentprint.attack_engine.statistics.binomial import lower_limit, upper_limit
from latentprint.attack_engine.statistics.estimates import Power
from latentprint.attack_engine.statistics.tail import detectable_share
from latentprint.attack_engine.statistics.thresholds import false_positives_allowed

_MOST_SAMPLES = 10**9
_COARSE_AUC = 0.75
_USUAL_CONTROLS = 2  # an untrained encoder, and the blind baseline
_LEAST_VARIANCE = 1e-12
_DEVIATES = np.linspace(-6.0, 6.0, 2401)
_DENSITY = np.exp(-0.5 * _DEVIATES**2)
_WEIGHTS = _DENSITY / _DENSITY.sum()


def assess_power(
    members: int,
    non_members: int,
    target_fprs: Sequence[float],
    *,
    controls: int = 0,
    power: float = 0.8,
    level: float = 0.95,
) -> Power:
    """The smallest AUC, and share of exposed members, found with probability `power`; what the lowest FPR needs.

    Found: above chance and above each of `controls` that find nothing on the same samples.
    """
    lowest = min(target_fprs)
    return Power(
        members=members,
        non_members=non_members,
        power=power,
        detectable_auc=detectable_auc(members, non_members, controls=controls, power=power, level=level),
        target_fpr=lowest,
        non_members_to_resolve=non_members_to_resolve(lowest),
        detectable_share=detectable_share(
            members, non_members, controls=controls, power=power, error=(1.0 - level) / 2.0
        ),
    )


def detectable_auc(
    members: int, non_members: int, *, controls: int = 0, power: float = 0.8, level: float = 0.95
) -> float:
    """The true AUC that an audit shows with probability `power`.

    Shown: its interval at `level` lies above 0.5, and so does its difference from each of `controls` whose scores tell
    nothing and have nothing in common with the attack's. Normal approximation with Newcombe's variances at 0.5 and at
    the AUC itself. 1.0 where so few samples cannot even show perfect separation.
    """
    z, chance = (
        float(scipy.stats.norm.isf((1.0 - level) / 2.0)),
        math.sqrt(newcombe_variance(0.5, members, non_members)),
    )

    def shown(auc: float) -> float:
        spread = math.sqrt(max(newcombe_variance(auc, members, non_members), _LEAST_VARIANCE))
        found = auc + spread * _DEVIATES
        below = scipy.stats.norm.cdf((found - 0.5 - z * math.hypot(spread, chance)) / chance) ** controls
        above_chance = found > 0.5 + z * chance
        return float((_WEIGHTS * above_chance * (below if controls else 1.0)).sum())

    return float(scipy.optimize.brentq(lambda auc: shown(auc) - power, 0.5, 1.0)) if shown(1.0) > power else 1.0


def non_members_to_resolve(target_fpr: float) -> int:
    """The fewest non-members with which `target_fpr` (a fraction) is realisable: one false positive of them."""
    return math.ceil(1.0 / target_fpr - 1e-9)


def samples_to_show(tpr: float, fpr: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Members, and as many non-members, with which a true `tpr` at `fpr` proves itself with probability `power`.

    Proved: Clopper-Pearson's lower limit of the TPR exceeds the upper limit of the FPR, each at (1 - level) / 2. Counts
    are searched in steps of one false positive, 1 / fpr samples.

    Raises:
        ValueError: not 0 < fpr < tpr <= 1, or more than a billion samples would be needed.
    """
    if not 0.0 < fpr < tpr <= 1.0:
        raise ValueError(f"a TPR of {tpr} at an FPR of {fpr} is not above chance")
    step, error = 1.0 / fpr, (1.0 - level) / 2.0

    def shows(false_positives: int) -> bool:
        samples = math.ceil(false_positives * step)
        ceiling = float(upper_limit(false_positives, samples, error))
        right = np.arange(*scipy.stats.binom.interval(1.0 - 1e-9, samples, tpr) + np.array([0, 1])).astype(np.int64)
        proves = lower_limit(right, samples, error) > ceiling
        return bool(scipy.stats.binom.pmf(right[proves], samples, tpr).sum() >= power)

    many = 1
    while not shows(many):
        many *= 2
        if many * step > _MOST_SAMPLES:
            raise ValueError(f"a TPR of {tpr} at an FPR of {fpr} needs more than {_MOST_SAMPLES} samples")
    few = many // 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if shows(middle) else (middle, many)
    return math.ceil(many * step)


def power_warnings(members: int, non_members: int, target_fprs: Sequence[float]) -> tuple[str, ...]:
    """What an audit of this size asks for and cannot resolve, a sentence each; for printing before the first query."""
    found = [
        f"TPR@{100 * target:g}%FPR is not resolvable with {non_members:,} non-members: "
        f"it needs at least {non_members_to_resolve(target):,}."
        for target in sorted(target_fprs, reverse=True)
        if false_positives_allowed(target, non_members) == 0
    ]
    auc = detectable_auc(members, non_members, controls=_USUAL_CONTROLS)
    if auc > _COARSE_AUC:
        found.append(
            f"With {members:,} members and {non_members:,} non-members, only an AUC of {auc:.2f} or more would be "
            "found four times in five: a smaller leak may well go unseen."
        )
    return tuple(found)
