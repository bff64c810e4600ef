"""A reading: how what is held of samples about a model becomes what an inference model is fitted to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal import InformedSignal, Outputs, Signal, Values, suited
from latentprint.attack_engine.evidence.needs import Distillation, Needs, References
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.ranges import TRIMMED, InRange
from latentprint.attack_engine.statistics.figures import Curves, Figure
from latentprint.attack_engine.statistics.mean_curves import mean_curves
from latentprint.core.errors import UsageError
from latentprint.core.splits import Units
from latentprint.core.views.augmentations import Augmentation

Rows = NDArray[np.bool_]
_ROUNDING = 4e-6  # of float32 answers, relative, which change by 5e-7 with the batch that they travel in
CurveTitles = Mapping[str, tuple[str, str, str]]  # diagnostic to (title, x label, y label)


class Reading(ABC):
    """A frozen, picklable dataclass. It knows nothing of membership; what it needs is prepared once an endpoint.

    Attributes:
        name: what errors call it.
        distillation: how the model has to be distilled; None where it has not.
        references: reference models that have to be there; None for none.
        population: whether other samples, known to be no members, are compared with.
        fitted_on_shadow: whether the inference model is fitted on the adversary's shadow model where there is one,
            rather than on known samples of the victim.
        of_units: whether it reads units of several samples, such as users, rather than samples.
    """

    name: str
    distillation: Distillation | None = None
    references: References | None = None
    population: bool = False
    fitted_on_shadow: bool = False
    of_units: bool = False

    @property
    @abstractmethod
    def signals(self) -> tuple[Signal, ...]:
        """What the endpoint is asked for a sample."""

    @abstractmethod
    def features(self, evidence: Evidence) -> Values:
        """What an inference model reads of S samples: float32 [S, R, F], R independent draws."""

    def features_within(self, evidence: Evidence, queries: int) -> Values | None:
        """The features that `queries` images a sample would have given; None where it cannot do with them."""
        del evidence, queries
        return None

    def varied(self, evidence: Evidence) -> Iterator[tuple[str, float, Values]]:
        """What else the same inference model is tried on: a sweep's name, how much of it there is, and the features."""
        del evidence
        return iter(())

    def require_units(self, units: Units, called: Callable[[int], str]) -> None:
        """Raise `DataError` where a unit has too few samples to be read; `called` gives a unit's name in words."""
        del units, called

    def figures(self, evidence: Evidence, shown: Rows, member: Rows) -> tuple[Figure, ...]:
        """What is drawn of the evidence on the samples that are `shown` (bool [S]), `member` (bool [S]) or not."""
        del evidence, shown, member
        return ()

    @property
    def trimmed(self) -> float:
        """Share of a sample's draws, at either end, that its score leaves out."""
        return 0.0

    def in_range(self, versions: tuple[str, ...], draws: int, seed: int) -> "Reading":
        """The reading of `draws` versions of each image in its place. Raises `UsageError` where it has none."""
        del versions, draws, seed
        raise UsageError(
            f"{self.name} has no range of versions: that is for attacks on membership which read their signals alone, "
            "such as encodermi. Leave the range out."
        )

    @property
    def reads_labels(self) -> bool:
        """Whether its features depend on the samples' classes."""
        return False

    @property
    def inferred(self) -> str:
        """The label of the samples that is inferred; "" where it is their membership."""
        return ""

    @property
    def channels(self) -> int:
        """Entries a step, of a sequence; 0 where the order of the features means nothing."""
        return 0

    @property
    def needs(self) -> Needs:
        """How many references of each kind its samples need."""
        return Needs()

    @property
    def imitates(self) -> bool:
        """Whether it needs the model's answers to further samples, which no model was trained on."""
        distilled = self.references is not None and self.references.kind == "distilled"
        return self.distillation is not None or self.population or distilled

    @property
    def needs_shadow(self) -> bool:
        """Whether known samples of the victim do not do: its references stand for models like the victim."""
        return self.references is not None

    def unreadable(self, evidence: Evidence) -> str:
        """Why `evidence` tells no sample from another, where that is known; else ""."""
        del evidence
        return ""

    @property
    def recorded(self) -> Sequence[str]:
        """Diagnostics of the signals that are drawn."""
        return ()

    def worded(self, figures: Sequence[Figure]) -> tuple[Figure, ...]:
        """Stored figures with their words, which are no part of what is stored: a reworded one is not fitted again."""
        return tuple(figures)

    def on(self, outputs: Outputs, url: str) -> "Reading":
        """The reading with its signals as they are asked of the endpoint at `url` with these outputs.

        Raises:
            UsageError: see `suited`.
        """
        for signal in self.signals:
            suited(signal, outputs, url)
        return self

    def against(self, augmentation: Augmentation) -> "Reading":
        """The reading with full knowledge of a victim's training augmentation, where its signals ask for it."""
        del augmentation
        return self


@dataclass(frozen=True)
class PlainReading(Reading):
    """The signals' own features, side by side.

    Attributes:
        parts: the signals.
        titles: of the curves that are drawn of their diagnostics.
    """

    name = "plain"
    parts: tuple[Signal, ...]
    titles: CurveTitles = field(default_factory=dict, repr=False)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return self.parts

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: a signal of fewer draws than another is repeated."""
        features = _beside(self.parts, evidence, None)
        if features is None:
            raise ValueError(f"the signals {[signal.name for signal in self.parts]} give no features")
        return features

    def features_within(self, evidence: Evidence, queries: int) -> Values | None:
        """See `Reading.features_within`: several signals cannot share a smaller budget."""
        return _beside(self.parts, evidence, queries) if len(self.parts) == 1 else None

    def figures(self, evidence: Evidence, shown: Rows, member: Rows) -> tuple[Figure, ...]:
        """See `Reading.figures`: mean curves of the diagnostics that have words, under their own names."""
        recorded = evidence.diagnostics
        drawn = [name for name in self.titles if name in recorded]
        return tuple(mean_curves(recorded[name][shown], member[shown], name, "", "") for name in drawn)

    @property
    def trimmed(self) -> float:
        """See `Reading.trimmed`: of versions of an image, some tell nothing."""
        return TRIMMED if any(isinstance(part, InRange) for part in self.parts) else 0.0

    def in_range(self, versions: tuple[str, ...], draws: int, seed: int) -> "PlainReading":
        """See `Reading.in_range`."""
        return replace(self, parts=tuple(InRange(part, versions, draws, seed) for part in self.parts))

    @property
    def recorded(self) -> Sequence[str]:
        """See `Reading.recorded`."""
        return list(self.titles)

    def worded(self, figures: Sequence[Figure]) -> tuple[Figure, ...]:
        """See `Reading.worded`."""
        return tuple(self._worded(one) if isinstance(one, Curves) else one for one in figures)

    def _worded(self, curves: Curves) -> Curves:
        title, x_label, y_label = self.titles.get(curves.title, (curves.title, curves.x_label, curves.y_label))
        return replace(curves, title=title, x_label=x_label, y_label=y_label)

    def on(self, outputs: Outputs, url: str) -> "PlainReading":
        """See `Reading.on`."""
        return replace(self, parts=tuple(suited(signal, outputs, url) for signal in self.parts))

    def against(self, augmentation: Augmentation) -> "PlainReading":
        """See `Reading.against`."""
        informed = (part.informed(augmentation) if isinstance(part, InformedSignal) else part for part in self.parts)
        return replace(self, parts=tuple(informed))


def joined(name: str, readings: Sequence[Reading]) -> Reading:
    """Several readings as one, their signals' features side by side; `name` is their attack's.

    Raises:
        UsageError: one of several reads more than its signals, or two share a signal.
    """
    plain = [reading for reading in readings if isinstance(reading, PlainReading)]
    if len(readings) == 1:
        return readings[0]
    if len(plain) < len(readings):
        raise UsageError(f"{name!r}: attacks that read more than their signals' features cannot be joined with '+'.")
    parts = tuple(part for reading in plain for part in reading.parts)
    if len({part.name for part in parts}) < len(parts):
        raise UsageError(f"The attack {name!r} asks for one signal twice; each signal counts once.")
    return PlainReading(parts, {key: text for reading in plain for key, text in reading.titles.items()})


def same_within_rounding(values: NDArray[np.floating]) -> bool:
    """Whether all rows of values [S, ...] are the same, but for what rounding makes of float32 answers."""
    spread, size = np.ptp(values, axis=0), np.abs(values).max(axis=0, initial=0.0)
    return bool((spread <= _ROUNDING * size).all())


def one_draw(features: NDArray[np.floating]) -> Values:
    """Features [S, F] as float32 [S, 1, F]."""
    return features.astype(np.float32)[:, None]


def _beside(parts: Sequence[Signal], evidence: Evidence, queries: int | None) -> Values | None:
    """The signals' features side by side, float32 [S, R, F]; None where one cannot do with `queries`."""
    features = [part.features(evidence.values[part.name], queries) for part in parts]
    given = [part for part in features if part is not None]
    if len(given) < len(features):
        return None
    rounds = max(part.shape[1] for part in given)
    return np.concatenate([np.repeat(p, rounds // p.shape[1], axis=1) for p in given], axis=2)
