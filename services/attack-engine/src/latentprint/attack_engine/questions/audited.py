"""One audit that is to be judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.audits.store import StoredCell
from latentprint.attack_engine.evidence.controls import CONTROLS
from latentprint.attack_engine.questions.header import Victim
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import Split


@dataclass(frozen=True)
class AuditedCell:
    """A cell with what the report says of its victim, attack and samples.

    `shadow` names the encoder that the attack was fitted on in the shadow setting, "" in the partial setting;
    `described` says of every null control, by name, what it is.
    """

    victim: Victim
    attack: Attack
    stored: StoredCell
    dataset: DatasetSpec
    split: Split
    seed: int
    shadow: str = ""
    described: Mapping[str, str] = field(default_factory=lambda: CONTROLS)
