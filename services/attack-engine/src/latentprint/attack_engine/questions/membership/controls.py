"""The validity block: what has to hold before a number means anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from latentprint.attack_engine.evidence.controls import EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.questions.header import Control, Effect
from latentprint.attack_engine.questions.membership.results import Evaluation, Validity
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Difference, SplitTest, TailCount
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR
from latentprint.attack_engine.statistics.power import assess_power
from latentprint.attack_engine.statistics.tail import tail_count

AUC, CHANCE = "AUC", 0.5
LOOK_ERROR = FAMILY_ERROR / 2  # of each of the two looks, overall and tail


@dataclass(frozen=True)
class NullControl:
    """The same attack where nothing can leak, and its tail, which is judged as well; None where the tail is off.

    It holds if, at the corrected level, its AUC interval contains 0.5 and its tail is no longer than by guessing.
    """

    control: Control
    tail: TailCount | None


def null_control(
    name: str,
    description: str,
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    controls_in_report: int,
) -> NullControl:
    """The verdict on one null control, by the same two looks as an audit's.

    Its AUC interval at 1 - 0.025 / `controls_in_report` must contain 0.5, and its tail count must not reach what
    guessing reaches with probability 0.025 / `controls_in_report`. With those levels (Bonferroni) all controls of an
    honest report hold together with probability 95 % or more.

    Raises:
        DataError: a side is empty or a score is not finite.
        ValueError: fewer than one control in the report.
    """
    if controls_in_report < 1:
        raise ValueError("a report with a null control has at least one")
    error = LOOK_ERROR / controls_in_report
    auc = estimate_auc(member_scores, non_member_scores, level=1.0 - error)
    tail = tail_count(member_scores, non_member_scores)
    quiet = tail is None or tail.p_value > error
    effect = Effect.of(AUC, auc, CHANCE)
    return NullControl(Control(name, description, effect, effect.contains_null and quiet), tail)


def assess_validity(
    evaluation: Evaluation,
    null_controls: Sequence[NullControl],
    *,
    controls_in_report: int,
    blind: BlindBaseline,
    split_test: SplitTest,
    differences: Sequence[Difference] = (),
    expected: Sequence[str] = (UNTRAINED, PLACEBO, EXCHANGED),
    split_by: str = "",
    unreadable: str = "",
) -> Validity:
    """The validity block of one audit.

    Args:
        evaluation: of the audit.
        null_controls: its controls, from `null_control` at the same `controls_in_report`.
        controls_in_report: null controls in all audits of the report together.
        blind: from `blind_baseline` on the audit's images.
        split_test: from `split_test` on them.
        differences: from `paired_difference`, of each control on the same samples.
        expected: controls that a claim without condition rests on; those that were not run are named.
        split_by: how members were told from non-members.
        unreadable: why there was nothing to read; "" where there was.
    """
    targets = [rate.target_fpr for rate in evaluation.tpr_at_fpr]
    run = {one.control.name for one in null_controls}
    return Validity(
        controls_in_report=controls_in_report,
        control_tails={one.control.name: one.tail for one in null_controls if one.tail is not None},
        blind=blind,
        split_test=split_test,
        power=assess_power(evaluation.members, evaluation.non_members, targets, controls=len(differences)),
        differences=tuple(differences),
        absent=tuple(name for name in expected if name not in run),
        split_by=split_by,
        unreadable=unreadable,
    )
