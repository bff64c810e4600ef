"""Level and power of the verdict's rule by simulation, beside the rule that looks at AUC intervals alone.

DRAWS in the environment sets the reports of each row (2,000); docs/statistics.md holds what it printed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.stats import norm

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.evidence.controls import UNTRAINED
from latentprint.attack_engine.findings.overall import overall_verdict
from latentprint.attack_engine.questions.header import AttackDescription, Effect, Outcome, VictimDescription
from latentprint.attack_engine.questions.membership.controls import (
    AUC,
    CHANCE,
    LOOK_ERROR,
    NullControl,
    assess_validity,
    null_control,
)
from latentprint.attack_engine.questions.membership.evaluate import evaluate
from latentprint.attack_engine.questions.membership.judge import audit_verdict
from latentprint.attack_engine.questions.membership.looks import leak_evidence
from latentprint.attack_engine.questions.membership.results import (
    Evaluation,
    MembershipFinding,
    MembershipResult,
    Validity,
)
from latentprint.attack_engine.statistics.auc import auc_interval, auc_moments, p_values
from latentprint.attack_engine.statistics.epsilon import epsilon_clopper_pearson
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Estimate, Interval, SplitTest
from latentprint.attack_engine.statistics.multiple_testing import holm
from latentprint.attack_engine.statistics.paired import paired_difference
from latentprint.attack_engine.statistics.tail import tail_count
from latentprint.core.splits import COIN

DRAWS = int(os.environ.get("DRAWS", "2000"))
FAR_ABOVE = 9.0
Sides = tuple[np.ndarray, np.ndarray]
Draw = Callable[[], tuple[Sides, Sides]]


@dataclass(frozen=True)
class Rates:
    """Shares of simulated reports: a leak by the interval's rule and by the verdict's, reversed, epsilon above 0."""

    intervals: float
    verdict: float
    reversed: float
    epsilon: float


def main() -> None:
    """Print every table, and the ratios that the rule is held to."""
    rng = np.random.default_rng(0)
    base = _base()
    print("== attack and twin find alike: share of reports that claim a leak (to be 5 % or less)")
    worst = 0.0
    for audits, samples in ((1, 100), (1, 300), (1, 1000), (4, 100), (16, 100)):
        for auc in (0.5, 0.52, 0.55, 0.58, 0.62, 0.7):
            draws = DRAWS // (4 if audits > 1 else 1)
            found = simulate(partial(alike, rng, auc, samples), base, draws, rng, audits=audits)
            worst = max(worst, found.verdict)
            _say(f"{audits:2} audits, {samples:4} v {samples:4}, AUC {auc:.2f}", found)
    print("== a share of the members wholly exposed: share of reports that claim a leak")
    for members, non_members in ((1000, 1000), (1000, 2000), (1000, 10_000)):
        for share in (0.0, 0.005, 0.01, 0.014, 0.02, 0.05):
            found = simulate(partial(exposed, rng, share, members, non_members), base, DRAWS, rng)
            _say(f"{members} v {non_members:5}, {100 * share:.1f} % exposed", found)
            if (members, non_members, share) == (1000, 10_000, 0.01):
                print(f"ratio tail_power_at_1_percent {found.verdict:.3f} (target >= 0.8)")
    print("== a shift of all members: share of reports that claim a leak, or a separation in the other direction")
    for auc in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65):
        found = simulate(partial(shifted, rng, auc, 200), base, DRAWS, rng)
        _say(f"200 v 200, AUC {auc:.2f}", found)
    print("== three against three, perfectly separated")
    print(f"p = {p_values(auc_moments([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]))[0]:.4f}")
    print(f"ratio worst_false_claims_under_confounding {worst:.3f} (target <= {_bound():.3f})")


def _bound() -> float:
    """5 %, and what this many draws may stray above it by chance in one of 30 rows."""
    return 0.05 + 3.2 * float(np.sqrt(0.05 * 0.95 / (DRAWS // 4)))


def _say(row: str, rates: Rates) -> None:
    print(
        f"{row}: intervals alone {100 * rates.intervals:5.1f} %, verdict {100 * rates.verdict:5.1f} %, "
        f"reversed {100 * rates.reversed:5.1f} %, epsilon > 0 {100 * rates.epsilon:5.1f} %",
        flush=True,
    )


def alike(rng: np.random.Generator, auc: float, samples: int) -> tuple[Sides, Sides]:
    """A confounded split: attack and twin of one true AUC."""
    return shifted_scores(rng, auc, samples, samples), shifted_scores(rng, auc, samples, samples)


def shifted(rng: np.random.Generator, auc: float, samples: int) -> tuple[Sides, Sides]:
    """An attack of true AUC `auc`, and a twin that finds nothing."""
    return shifted_scores(rng, auc, samples, samples), shifted_scores(rng, 0.5, samples, samples)


def exposed(rng: np.random.Generator, share: float, members: int, non_members: int) -> tuple[Sides, Sides]:
    """An attack that scores a share of the members above all others, and a twin that finds nothing."""
    scores, others = shifted_scores(rng, 0.5, members, non_members)
    attack = scores + FAR_ABOVE * (rng.random(members) < share), others
    return attack, shifted_scores(rng, 0.5, members, non_members)


def shifted_scores(rng: np.random.Generator, auc: float, members: int, non_members: int) -> Sides:
    """Normal scores of true AUC `auc`."""
    return rng.normal(norm.ppf(auc) * 2**0.5, 1.0, members), rng.normal(0.0, 1.0, non_members)


def simulate(draw: Draw, base: MembershipFinding, draws: int, rng: np.random.Generator, *, audits: int = 1) -> Rates:
    """Judge `draws` reports of `audits` audits, each drawn by `draw`: the attack's scores and its twin's."""
    found = np.zeros(4)
    for _ in range(draws):
        pairs = [draw() for _ in range(audits)]
        outcome = overall_verdict([judged(base, *pair, audits, rng) for pair in pairs]).outcome
        bound = epsilon_clopper_pearson(*pairs[0][0]).epsilon
        found += [by_intervals(pairs), outcome.claims, outcome is Outcome.REVERSED, bound > 0.0]
    return Rates(*(found / draws).tolist())


def by_intervals(pairs: list[tuple[Sides, Sides]]) -> bool:
    """Whether AUC intervals alone claim a leak: the attack's above 0.5 after Holm, every twin's around it."""
    controls = [auc_interval(auc_moments(*twin), 1.0 - 0.05 / len(pairs)).contains(0.5) for _, twin in pairs]
    above = [p_values(auc_moments(*attack))[0] for attack, _ in pairs]
    return all(controls) and bool(holm(above, 0.025).any())


def judged(
    base: MembershipFinding, attack: Sides, twin: Sides, controls: int, rng: np.random.Generator
) -> MembershipFinding:
    """An audit of these scores, through the functions that audits use."""
    moments, tail = auc_moments(*attack), tail_count(*attack)
    above, below = p_values(moments)
    allowed = tail.false_positives if tail is not None and tail.p_value <= LOOK_ERROR else None
    evaluation = replace(
        base.result.evaluation,
        auc=Estimate(moments.auc, auc_interval(moments, 0.95)),
        p_value=above,
        p_value_below=below,
        tail=tail,
    )
    difference = paired_difference(UNTRAINED, attack, twin, false_positives=allowed, rng=rng)
    validity = replace(base.result.validity, differences=(difference,))
    return _finding(evaluation, _null(twin, controls), validity)


def _null(twin: Sides, controls: int) -> NullControl:
    return null_control(UNTRAINED, "", *twin, controls_in_report=controls)


def _base() -> MembershipFinding:
    """An audit whose scores are replaced in every draw."""
    rng = np.random.default_rng(1)
    sides = shifted_scores(rng, 0.5, 20, 20)
    evaluation = evaluate(*sides, called=(sides[0] > 0, sides[1] > 0), rng=rng, resamples=10)
    quiet = BlindBaseline(Estimate(0.5, Interval(0.4, 0.6, 0.95, "")), above_chance=False, features="")
    validity = assess_validity(
        evaluation,
        [control := _null(sides, 1)],
        controls_in_report=1,
        blind=quiet,
        split_test=SplitTest("", 0.0, 0.5, rejects=False),
        split_by=COIN,
    )
    return _finding(evaluation, control, validity)


def _finding(evaluation: Evaluation, control: NullControl, validity: Validity) -> MembershipFinding:
    tails = {} if control.tail is None else {UNTRAINED: control.tail}
    validity = replace(validity, control_tails=tails)
    return MembershipFinding(
        question=MEMBERSHIP,
        victim=VictimDescription("simulated", "", ""),
        attack=AttackDescription("simulated", "", ""),
        effect=Effect.of(AUC, evaluation.auc, CHANCE),
        p_value=leak_evidence(evaluation, validity).p_value,
        controls=(control.control,),
        verdict=audit_verdict(evaluation, (control.control,), validity),
        queries=Queries(0, 0, 0, 0, None, 0.0),
        digests={},
        figures=(),
        seed=0,
        result=MembershipResult(evaluation, validity, None, (), (), 0, 0),
    )


if __name__ == "__main__":
    main()
