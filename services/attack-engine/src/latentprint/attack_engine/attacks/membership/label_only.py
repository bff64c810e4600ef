"""Label-only: members lie farther from where the predicted class changes."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, one_draw
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.boundary import BoundaryDistance


@dataclass(frozen=True)
class LabelOnly(Reading):
    """Distance to the decision boundary, negative where the predicted class is not the sample's own.

    Li and Zhang (CCS 2021) and Choquette-Choo et al. (ICML 2021), who give samples of a wrong predicted class the
    distance 0: how far these lie on the wrong side is kept here.

    Attributes:
        queries: of each sample.
        rounds: see `BoundaryDistance`.
        seed: of the search for the boundary.
    """

    name = "label-only"
    fitted_on_shadow = True
    queries: int = BoundaryDistance.queries
    rounds: int = BoundaryDistance.rounds
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse fewer queries than the search needs. Raises `UsageError`."""
        self._search()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (self._search(),)

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: the predicted class is compared with the sample's own."""
        return True

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the signed distance, [S, 1, 1]."""
        return _signed(evidence.values[BoundaryDistance.name][:, [0, -1]], evidence)

    def features_within(self, evidence: Evidence, queries: int) -> Values | None:
        """See `Reading.features_within`: the distance after fewer rounds."""
        found = self._search().features(evidence.values[BoundaryDistance.name], queries)
        return None if found is None else _signed(found[:, 0], evidence)

    def _search(self) -> BoundaryDistance:
        return BoundaryDistance(self.queries, self.rounds, self.seed)


def _signed(found: Values, evidence: Evidence) -> Values:
    """Distances of `found` [S, 2], beside the predicted class, with the sign that says whether that is right."""
    return one_draw(np.where(found[:, 0] == evidence.label, 1, -1)[:, None] * found[:, 1:])
