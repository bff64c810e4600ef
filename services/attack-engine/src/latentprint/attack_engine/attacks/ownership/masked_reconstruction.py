"""Masked reconstruction: what a masked-image encoder was trained on is restored better from what is left (DOV4MM)."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import unit_vectors
from latentprint.attack_engine.signals.masked import MaskedImages


@dataclass(frozen=True)
class MaskedReconstruction(Reading):
    """The embedding of a masked image beside that of the whole one, both of length 1 (DOV4MM, 2025).

    Attributes:
        masks: of each image; each is a draw of its own.
        share: of the image that is masked.
        grid: squares along each side, of which that share is masked.
        seed: of the masks.
    """

    name = "masked-reconstruction"
    masks: int = 4
    share: float = 0.5
    grid: int = 4
    seed: int = 0

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (MaskedImages(self.masks, self.share, self.grid, self.seed),)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: masked, then whole, [S, masks, 2 D]."""
        (signal,) = self.signals
        values = evidence.values[signal.name]
        vectors = unit_vectors(values.reshape(len(values), 1 + self.masks, -1))
        whole, masked = vectors[:, :1], vectors[:, 1:]
        return np.concatenate([masked, np.broadcast_to(whole, masked.shape)], axis=2).astype(np.float32)
