"""The question of ownership: whether a suspect was stolen from a victim, or otherwise made from its private images.

Truth: `Split.member`, the victim's private images against test images that it never saw. Effect: the standardised
difference of the mean scores of held-out images, 0 where the suspect has nothing of the private ones. Controls: the
same on an untrained encoder and on a trained one that is independent, which must not be flagged, and on the victim
itself, which must. Judge: `judging.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentprint.attack_engine.questions.header import Verdict
from latentprint.attack_engine.questions.membership.two_groups import TwoGroups
from latentprint.attack_engine.questions.ownership.results import SUSPECT, OwnershipFinding, OwnershipResult
from latentprint.attack_engine.questions.ownership.verdicts import foreseen, overall_verdict
from latentprint.attack_engine.questions.question import Metric
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.questions.audit import Audit
    from latentprint.attack_engine.questions.membership.samples import ExaminedSamples


@dataclass(frozen=True)
class OwnershipQuestion(TwoGroups):
    """Ownership of an encoder."""

    title: str = "Ownership"
    result: type[OwnershipResult] = OwnershipResult
    attacks: Sequence[str] = ("dataset-inference", "view-relations", "masked-reconstruction")

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
        """See `foreseen`."""
        del fitted
        return foreseen(split.split_by, examined.blind.baseline, untrained, placebo, original)

    def judge(
        self, audits: "Sequence[Audit]", *, controls: int, examined: "Mapping[str, ExaminedSamples]"
    ) -> list[OwnershipFinding]:
        """See `judge_ownership`, which alone needs attacks and samples: reports are read without them."""
        from latentprint.attack_engine.questions.ownership.judging import judge_ownership

        return judge_ownership(audits, controls, examined)

    def overall(self, findings: Sequence[OwnershipFinding], stands: Sequence[bool]) -> Verdict:
        """See `overall_verdict`."""
        return overall_verdict(findings, stands)

    def parameters(self, finding: OwnershipFinding) -> Mapping[str, object]:
        """How the groups were told apart, and how many images the test was fitted on."""
        return {"split_by": finding.result.split_by, "known_private": finding.result.known_private}

    def metrics(self, finding: OwnershipFinding) -> Iterator[Metric]:
        """The tests of the suspect, its lead over each control, the samples', and the published p-values."""
        result = finding.result
        yield Metric("welch_p_value", result.difference.welch_p)
        yield Metric("permutation_p_value", result.difference.permutation_p)
        for name, paired in result.paired.items():
            yield Metric(f"excess_over_{name.replace(' ', '_')}", paired.difference.value)
        yield Metric("blind_auc", result.blind.auc.value)
        yield Metric("split_test_p_value", result.split_test.p_value)
        yield Metric("detectable_difference", result.detectable)
        published = result.published[SUSPECT]
        yield Metric("published_halved_p_value", published.halved)
        yield Metric("published_resampled_p_value", published.resampled)


QUESTION = OwnershipQuestion()
