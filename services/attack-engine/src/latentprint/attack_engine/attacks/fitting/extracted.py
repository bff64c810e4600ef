"""What an attack's signals gave on one endpoint, sample by sample."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal_store import Signals
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.base import Membership
from latentprint.attack_engine.inference.over_draws import Draws


@dataclass(frozen=True)
class Extracted:
    """Signals of S samples, one entry for each of an attack's signals, in its order.

    `evidence` is what an attack with a reading reads; None for any other.
    """

    parts: tuple[Signals, ...]
    evidence: Evidence | None = None

    def features(self, attack: Attack) -> Draws:
        """What the attack's inference model reads: float32 [S, R, F]."""
        if self.evidence is not None:
            return attack.read(self.evidence)
        features = self.features_within(attack, None)
        if features is None:
            raise ValueError(f"the signals of {attack.name} give no features")
        return features

    def features_within(self, attack: Attack, queries: int | None) -> Draws | None:
        """The features that `queries` images a sample would have given; None where the attack cannot do with them."""
        if self.evidence is not None:
            return None
        return attack.features([part.values for part in self.parts], queries)

    @property
    def diagnostics(self) -> Mapping[str, NDArray[np.float32]]:
        """All parts' diagnostics, name to float32 [S, L]."""
        return {name: value for part in self.parts for name, value in part.diagnostics.items()}


@dataclass(frozen=True)
class Shadow:
    """A shadow encoder's samples, all of known membership.

    Attributes:
        attack: the attack as it was asked of the shadow encoder.
        extracted: its signals.
        member: bool [S].
    """

    attack: Attack
    extracted: Extracted
    member: Membership
