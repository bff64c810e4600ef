"""The question of membership: whether a sample was in the encoder's training set.

Truth: `Split.member`. Effect: the AUC of the attack's scores, 0.5 where they tell nothing. Controls: the same attack on
encoders that saw none of the samples, on non-members alone, and labels alone. Judge: `judge.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentprint.attack_engine.questions.header import Verdict
from latentprint.attack_engine.questions.membership.metrics import membership_metrics
from latentprint.attack_engine.questions.membership.results import MembershipFinding, MembershipResult
from latentprint.attack_engine.questions.membership.two_groups import TwoGroups
from latentprint.attack_engine.questions.question import Metric
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.questions.audit import Audit
    from latentprint.attack_engine.questions.membership.samples import ExaminedSamples


@dataclass(frozen=True)
class MembershipQuestion(TwoGroups):
    """Membership of single samples."""

    title: str = "Membership"
    result: type[MembershipResult] = MembershipResult
    attacks: Sequence[str] = ("partcrop", "encodermi")

    def foresee(
        self,
        split: Split,
        examined: "ExaminedSamples",
        *,
        untrained: bool,
        placebo: bool,
        original: bool = False,
        fitted: bool = True,
    ) -> Iterator[str]:
        """See `forecast`."""
        from latentprint.attack_engine.questions.membership.forecast import forecast

        del original
        return forecast(split, examined.blind, untrained=untrained, placebo=placebo, fitted=fitted)

    def judge(
        self, audits: "Sequence[Audit]", *, controls: int, examined: "Mapping[str, ExaminedSamples]"
    ) -> list[MembershipFinding]:
        """See `judge_membership`, which alone needs attacks and samples: reports are read without them."""
        from latentprint.attack_engine.questions.membership.judging import judge_membership

        return judge_membership(audits, controls, examined)

    def overall(self, findings: Sequence[MembershipFinding], stands: Sequence[bool]) -> Verdict:
        """See `overall_verdict`."""
        from latentprint.attack_engine.questions.membership.overall import overall_verdict

        return overall_verdict(findings, stands)

    def parameters(self, finding: MembershipFinding) -> Mapping[str, object]:
        """How the sides were told apart, and how many samples the attack was fitted on."""
        return {
            "split_by": finding.result.validity.split_by,
            "known_members": finding.result.known_members,
            "known_non_members": finding.result.known_non_members,
        }

    def metrics(self, finding: MembershipFinding) -> Iterator[Metric]:
        """See `membership_metrics`."""
        return membership_metrics(finding.result)


QUESTION = MembershipQuestion()
