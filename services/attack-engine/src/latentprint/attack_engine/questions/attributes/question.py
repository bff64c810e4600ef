"""The question of attributes: what an embedding gives away of a sample beside what its encoder is for.

Truth: an attribute of the samples. Effect: the share of evaluated samples that it is inferred right of, less that of
the closest guess that does without the trained encoder: the prevailing value, the raw pixels, an untrained encoder
(ContrastiveLeaks, CCS 2021). Those are its controls.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentprint.attack_engine.models.job import TWIN
from latentprint.attack_engine.questions.attributes.results import AttributesFinding, AttributesResult
from latentprint.attack_engine.questions.attributes.wording import report_verdict
from latentprint.attack_engine.questions.header import Verdict
from latentprint.attack_engine.questions.question import Metric
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.attacks.attack import Attack
    from latentprint.attack_engine.questions.audit import Audit


@dataclass(frozen=True)
class AttributesQuestion:
    """Attributes of single samples."""

    title: str = "Attributes"
    result: type[AttributesResult] = AttributesResult
    attacks: Sequence[str] = ("attribute-inference",)
    held_against: Sequence[str] = (TWIN,)

    def require(self, attacks: "Sequence[Attack]", dataset: Dataset, split: Split) -> None:
        """See `Question.require` and `require_attribute`."""
        from latentprint.attack_engine.attacks.fitting.attribute_scores import require_attribute

        for attack in attacks:
            require_attribute(attack, dataset, split)

    def examine(self, dataset: DatasetSpec, split: Split, seed: int) -> None:
        """See `Question.examine`: members and non-members are not held against each other."""

    def foresee(
        self,
        split: Split,
        examined: None,
        *,
        untrained: bool,
        placebo: bool,
        original: bool = False,
        fitted: bool = True,
    ) -> Iterator[str]:
        """See `Question.foresee`."""
        del split, examined, placebo, original, fitted
        if not untrained:
            yield (
                "The most that this audit can say is that the attribute is indicated to be given away: no untrained "
                "encoder of the same architecture is asked. Name one (--untrained)."
            )

    def judge(
        self, audits: "Sequence[Audit]", *, controls: int, examined: Mapping[str, object]
    ) -> list[AttributesFinding]:
        """See `judge_attributes`."""
        from latentprint.attack_engine.questions.attributes.judge import judge_attributes

        del controls, examined
        return judge_attributes(audits)

    def overall(self, findings: Sequence[AttributesFinding], stands: Sequence[bool]) -> Verdict:
        """See `report_verdict`."""
        return report_verdict(findings, stands)

    def parameters(self, finding: AttributesFinding) -> Mapping[str, object]:
        """The attribute, and how many samples the attack was fitted to."""
        return {"attribute": finding.result.attribute, "known_samples": finding.result.known}

    def metrics(self, finding: AttributesFinding) -> Iterator[Metric]:
        """The attack's accuracy, and each baseline's."""
        yield Metric("accuracy", finding.result.accuracy.value)
        for one in finding.result.baselines:
            yield Metric(f"accuracy_{one.name.replace(' ', '_')}", one.accuracy.value)


QUESTION = AttributesQuestion()
