"""View relations: a contrastive encoder holds the views of what it was trained on closer together (DOV4CL)."""

from dataclasses import dataclass
from typing import Literal

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.reading import Reading, one_draw
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.multi_crop import MultiCropRelations


@dataclass(frozen=True)
class ViewRelations(Reading):
    """Mean cosines between an image's global views, between its local ones, and across (DOV4CL, ICLR 2025).

    These are the paper's unary relations. Its binary ones, between pairs of images, would make scores that depend on
    one another, and are left out.

    Attributes:
        global_views: of an area of 0.4 to 1 of the image, M.
        local_views: of an area of 0.05 to 0.4, N.
        augmentation: a preset for all else than the crops.
        seed: of the views.
    """

    name = "view-relations"
    global_views: int = 2
    local_views: int = 6
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae"] = "generic"
    seed: int = 0

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (MultiCropRelations(self.global_views, self.local_views, self.augmentation, self.seed),)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the three relations, [S, 1, 3]."""
        (signal,) = self.signals
        return one_draw(evidence.values[signal.name])
