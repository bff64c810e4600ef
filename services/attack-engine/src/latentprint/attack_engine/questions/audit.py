"""One audit that is to be judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores
from latentprint.attack_engine.evidence.controls import CONTROLS
from latentprint.attack_engine.questions.header import AttackDescription, VictimDescription
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import Split


@dataclass(frozen=True)
class Audit:
    """A victim under an attack with its scores, before anything is said of them.

    Attributes:
        victim: as it was seen.
        attack: as it was asked of the victim.
        stored: the scores, and what was seen of the endpoint when they were made.
        dataset, split: the samples and who is what.
        seed: of every fit and resample.
        shadow: name of the model that the attack was fitted on in the shadow setting, "" in the partial setting.
        described: what every null control is, by name.
        fdr: of members lists, the share of false calls allowed on average.
    """

    victim: VictimDescription
    attack: Attack
    stored: StoredScores
    dataset: DatasetSpec
    split: Split
    seed: int
    shadow: str = ""
    described: Mapping[str, str] = field(default_factory=lambda: CONTROLS)
    fdr: float = FDR

    @property
    def question(self) -> str:
        """What is asked of the scores, by its name."""
        return self.attack.question

    @property
    def rows(self) -> Split:
        """What was scored one by one: the split's samples, or its units."""
        return self.attack.rows(self.split)

    @property
    def attack_description(self) -> AttackDescription:
        """The attack as the report says it."""
        return AttackDescription(self.attack.name, self.attack.summary, self.attack.source, self.shadow)

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of the samples and of who is what."""
        return {"dataset": self.split.dataset_digest, "split": self.split.digest}
