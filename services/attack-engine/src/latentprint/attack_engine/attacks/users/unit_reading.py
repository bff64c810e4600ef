"""What all readings of units share: the same number of probe images of every user."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.checks import require
from latentprint.core.errors import DataError
from latentprint.core.splits import Units

SHARE = "share"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class UnitReading(Reading):
    """Features of users from the answers to `images` images of each, the same number for every user.

    Which images of a user are read is drawn by `seed`; fewer of them are among more of them.

    Attributes:
        images: of each user, n.
        share: of a training user's images, the part that was trained on. 0 asks of images that the encoder never saw
            ("non-training members" in the source). A user of whom none is marked as trained on is read as a whole.
        seed: of the draw.

    Source: "User-Level Membership Inference Attack against Metric Embedding Learning", 2022, Sec. 3.
    """

    images: int = 5
    share: float = 0.0
    seed: int = 0

    of_units = True
    fitted_on_shadow = True

    def __post_init__(self) -> None:
        require(self.images >= 2, f"The images a user (images) of {self.name}", self.images, "at least 2")
        require(0 <= self.share <= 1, f"The share of training images (share) of {self.name}", self.share, "0 to 1")

    @abstractmethod
    def of_probes(self, values: Values) -> Values:
        """Features float32 [U, R, F] of the answers to the probe images, float32 [U, n, K]."""

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`; here of U units, by ascending unit."""
        if evidence.units is None:
            raise ValueError(f"{self.name} reads units, and the evidence names none")
        (signal,) = self.signals
        return self.of_probes(evidence.values[signal.name][self.probes(evidence.units)])

    def varied(self, evidence: Evidence) -> Iterator[tuple[str, float, Values]]:
        """See `Reading.varied`: with other shares of training images, as far as every user has enough of both kinds."""
        if evidence.units is None or not evidence.units.trained.any():
            return
        for share in SHARES:
            other = replace(self, share=share)
            if not len(other.lacking(evidence.units)):
                yield SHARE, share, other.features(evidence)

    def probes(self, units: Units) -> NDArray[np.int64]:
        """Rows of every unit's probe images, int64 [U, n], units ascending.

        Raises:
            ValueError: see `lacking`.
        """
        place = np.random.default_rng(self.seed).permutation(len(units.unit))
        rows = [
            self._of_unit(np.flatnonzero(units.unit == unit), units.trained, place) for unit in np.unique(units.unit)
        ]
        if any(len(one) < self.images for one in rows):
            raise ValueError(f"{self.name}: a unit has fewer than {self.images} suitable samples")
        return np.stack(rows)

    def lacking(self, units: Units) -> NDArray[np.int64]:
        """The units that have too few images, or too few of one kind: int64."""
        unit, place = np.unique(units.unit, return_inverse=True)
        trained = np.bincount(place[units.trained], minlength=len(unit))
        others = np.bincount(place[~units.trained], minlength=len(unit))
        wanted = np.where(trained > 0, self._trained_images, 0)
        return unit[(trained < wanted) | (others < self.images - wanted)]

    def require_units(self, units: Units, called: Callable[[int], str]) -> None:
        """See `Reading.require_units`."""
        short = self.lacking(units)
        if not len(short):
            return
        own = units.unit == short[0]
        trained = int(units.trained[own].sum())
        held = f"{int(own.sum())} images" + (f", {trained} of them trained on" if trained else "")
        more = f", and so do {len(short) - 1} further users" if len(short) > 1 else ""
        raise DataError(
            f"The user {called(int(short[0]))} has {held}{more}: {self.name} reads {self.images} images of every user, "
            f"{self._trained_images} of a training user's among those that were trained on. Give every user enough "
            "images, or lower the option images."
        )

    @property
    def _trained_images(self) -> int:
        """Of a training user's probe images, how many were trained on."""
        return round(self.images * self.share)

    def _of_unit(
        self, rows: NDArray[np.int64], trained: NDArray[np.bool_], place: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The probe images among one unit's `rows`, in the order of `place`."""
        rows = rows[np.argsort(place[rows])]
        inside, outside = rows[trained[rows]], rows[~trained[rows]]
        count = self._trained_images if len(inside) else 0
        return np.concatenate([inside[:count], outside[: self.images - count]])
