"""EncoderMI on each of a user's images, and a majority vote over them."""

from dataclasses import dataclass, replace
from typing import Literal

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.users.unit_reading import UnitReading
from latentprint.attack_engine.signals.views import EncoderMISignal
from latentprint.core.views.augmentations import Augmentation


@dataclass(frozen=True)
class EncoderMIVote(UnitReading):
    """EncoderMI's similarities of every probe image, each image a draw that votes by itself.

    Attributes:
        views: augmented views an image.
        augmentation: see `EncoderMISignal`: "victim" for full knowledge, else a preset.
        known: the victim's own augmentation.

    Source: "User-Level Membership Inference Attack against Metric Embedding Learning", 2022, Sec. 4 (baseline).
    """

    views: int = 10
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae", "victim"] = "generic"
    known: Augmentation | None = None

    name = "encodermi-vote"

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`: EncoderMI's own, which EncoderMI on single images shares."""
        return (self._signal,)

    def against(self, augmentation: Augmentation) -> "EncoderMIVote":
        """See `Reading.against`."""
        return replace(self, known=self._signal.informed(augmentation).known)

    def of_probes(self, values: Values) -> Values:
        """See `UnitReading.of_probes`: as many draws as images."""
        users, images, kept = values.shape
        features = self._signal.features(values.reshape(users * images, kept))
        if features is None:
            raise ValueError("EncoderMI gives no features of its own views")
        return features.reshape(users, images, -1)

    @property
    def _signal(self) -> EncoderMISignal:
        return EncoderMISignal(self.views, self.augmentation, self.known, self.seed)
