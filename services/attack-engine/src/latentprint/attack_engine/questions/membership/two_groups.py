"""What questions share that hold one group of samples against another: who was trained on, and who was not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latentprint.attack_engine.models.job import ORIGINAL, PLACEBO, TWIN
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.attacks.attack import Attack
    from latentprint.attack_engine.questions.membership.samples import ExaminedSamples


class TwoGroups:
    """The part of a `Question` that asks whether two groups are large enough, and whether they look drawn alike."""

    held_against: Sequence[str] = (TWIN, PLACEBO, ORIGINAL)

    def require(self, attacks: "Sequence[Attack]", dataset: Dataset, split: Split) -> None:
        """See `Question.require`: enough samples a side, known ones too unless every attack does without a fit."""
        from latentprint.attack_engine.attacks.fitting.scoring import most_known, require_samples

        del dataset
        require_samples(split, known=most_known(attacks))

    def examine(self, dataset: DatasetSpec, split: Split, seed: int) -> "ExaminedSamples":
        """See `examine_samples`, which exchanges whole units where there are any."""
        from latentprint.attack_engine.questions.membership.samples import examine_samples

        return examine_samples(dataset, split, seed)
