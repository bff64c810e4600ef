"""The question of users: whether an encoder was trained on images of a person, or of any other unit of several samples.

Truth: the units' membership. Effect: the AUC of the attack's scores of users, 0.5 where they tell nothing. Controls and
judge: those of membership, with users in the place of samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latentprint.attack_engine.questions.header import Verdict
from latentprint.attack_engine.questions.membership.metrics import membership_metrics
from latentprint.attack_engine.questions.membership.two_groups import TwoGroups
from latentprint.attack_engine.questions.question import Metric
from latentprint.attack_engine.questions.users.results import UsersFinding, UsersResult
from latentprint.core.datasets import Dataset
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.attacks.attack import Attack
    from latentprint.attack_engine.questions.audit import Audit
    from latentprint.attack_engine.questions.membership.samples import ExaminedSamples


USERS_PAIR = "one user whose images the encoder was trained on and one of whom it saw no image"


@dataclass(frozen=True)
class UsersQuestion(TwoGroups):
    """Membership of users."""

    title: str = "Users"
    result: type[UsersResult] = UsersResult
    attacks: Sequence[str] = ("compactness", "encodermi-vote")

    def require(self, attacks: "Sequence[Attack]", dataset: Dataset, split: Split) -> None:
        """See `Question.require`: enough users a side, and enough images of each for every attack."""
        from latentprint.attack_engine.attacks.fitting.scoring import require_samples
        from latentprint.attack_engine.questions.membership.exposure import row_name

        for attack in attacks:
            rows = attack.rows(split)
            if split.units is not None:
                attack.reading.require_units(split.units, lambda unit: row_name(dataset, split, unit))
            require_samples(rows, known=attack.known_sides)

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
        """See `forecast`, of users."""
        from latentprint.attack_engine.questions.membership.forecast import forecast

        del original
        return forecast(split.by_unit(), examined.blind, untrained=untrained, placebo=placebo, fitted=fitted)

    def judge(
        self, audits: "Sequence[Audit]", *, controls: int, examined: "Mapping[str, ExaminedSamples]"
    ) -> list[UsersFinding]:
        """See `judge_users`, which alone needs attacks and samples."""
        from latentprint.attack_engine.questions.users.judging import judge_users

        return judge_users(audits, controls, examined)

    def overall(self, findings: Sequence[UsersFinding], stands: Sequence[bool]) -> Verdict:
        """See `overall_verdict`."""
        from latentprint.attack_engine.questions.membership.overall import overall_verdict

        return overall_verdict(findings, stands, USERS_PAIR)

    def parameters(self, finding: UsersFinding) -> Mapping[str, object]:
        """How many images were read, what they were, and how many users the attack was fitted on."""
        result = finding.result
        return {
            "split_by": result.validity.split_by,
            "images_a_user": result.images,
            "share_of_training_images": result.share,
            "known_members": result.known_members,
            "known_non_members": result.known_non_members,
        }

    def metrics(self, finding: UsersFinding) -> Iterator[Metric]:
        """See `membership_metrics`; and who is called a member, by group."""
        yield from membership_metrics(finding.result)
        for group in finding.result.groups:
            yield Metric(f"called_{group.group.replace(' ', '_').replace('-', '_')}", group.rate)


QUESTION = UsersQuestion()
