"""What an adversary knows of membership before the audit, and the scorer that follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.attacks.fitting.scoring import Calibrated, calibrated_by, cross_fitted
from latentprint.attack_engine.evidence.controls import EXCHANGED, LABELS, ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.base import BOTH_SIDES, MEMBERS_ALONE, Membership
from latentprint.attack_engine.inference.over_draws import Draws, DrawsScorer
from latentprint.core.splits import KNOWN, Split

_FITS = 1  # what a seed is used for tells its streams apart: 2 draws images, 3 scores, 4 a search's folds

# What a stream of random numbers is for, beside the controls by name.
FIT, CALIBRATE, EXCHANGE, SWEEP, TREATED = "fit", "calibrate", "exchange", "sweep", "treated"

Streams = Mapping[str, np.random.Generator]
Fitting = Callable[[Draws, Split, np.random.Generator], DrawsScorer]


class Knowledge(ABC):
    """What is known of membership.

    Attributes:
        known: sides of the victim's own samples that are known, True for members; where both are, p-values can be
            calibrated on them.
    """

    known: ClassVar[tuple[bool, ...]] = ()
    # A generator spawns its streams by number, so that this order decides what each fit and draw of an audit comes to,
    # and every score that was ever stored with it. No purpose changes its place, and a new one goes to the end: then a
    # further control leaves every other score as it was. What is not drawn from costs nothing.
    order: Sequence[str] = (FIT, EXCHANGE, LABELS, UNTRAINED, PLACEBO, EXCHANGED, CALIBRATE, SWEEP, TREATED, ORIGINAL)

    def streams(self, seed: int) -> Streams:
        """One stream of random numbers a purpose, so that no fit depends on which others there are."""
        return dict(zip(self.order, np.random.default_rng([seed, _FITS]).spawn(len(self.order)), strict=True))

    @abstractmethod
    def fitting(self, attack: Attack, streams: Streams) -> Fitting:
        """How a scorer is had for an encoder's features float32 [S, R, F], in a split's order."""

    def calibrated(
        self, attack: Attack, scorer: DrawsScorer, features: Draws, split: Split, streams: Streams
    ) -> Calibrated | None:
        """Known samples as they score where they were not fitted to; None where nothing is known to calibrate on."""
        del attack, scorer, features, split, streams
        return None


@dataclass(frozen=True)
class KnownSamples(Knowledge):
    """The membership of the split's known samples: each encoder's scorer is fitted to its own answers to them."""

    known: ClassVar[tuple[bool, ...]] = BOTH_SIDES
    order = (FIT, CALIBRATE, UNTRAINED, EXCHANGE, EXCHANGED, SWEEP, TREATED, PLACEBO, LABELS, ORIGINAL)

    def fitting(self, attack: Attack, streams: Streams) -> Fitting:
        """See `Knowledge.fitting`."""
        del streams

        def fit(features: Draws, split: Split, rng: np.random.Generator) -> DrawsScorer:
            known = split.role == KNOWN
            return attack.over_draws.fit(features[known], split.member[known], rng)

        return fit

    def calibrated(
        self, attack: Attack, scorer: DrawsScorer, features: Draws, split: Split, streams: Streams
    ) -> Calibrated | None:
        """See `Knowledge.calibrated` and `cross_fitted`."""
        del scorer
        return cross_fitted(attack.over_draws, features, split, streams[CALIBRATE])


@dataclass(frozen=True)
class KnownMembers(KnownSamples):
    """The same where members alone are fitted to: nothing is known of non-members, not even to calibrate on."""

    known = MEMBERS_ALONE

    def calibrated(self, attack: Attack, scorer: DrawsScorer, features: Draws, split: Split, streams: Streams) -> None:
        """See `Knowledge.calibrated`."""
        del attack, scorer, features, split, streams


@dataclass(frozen=True)
class ShadowModel(Knowledge):
    """The membership of all samples of an encoder that the adversary trained: one scorer, fitted to its answers.

    Attributes:
        attack: as it was asked of the shadow model.
        evidence: on the shadow model's own samples.
        member: bool [S] of it.
    """

    attack: Attack
    evidence: Evidence
    member: Membership

    def fitting(self, attack: Attack, streams: Streams) -> Fitting:
        """See `Knowledge.fitting`."""
        scorer = attack.over_draws.fit(self.attack.features(self.evidence), self.member, streams[FIT])
        return lambda features, split, rng: scorer

    def calibrated(
        self, attack: Attack, scorer: DrawsScorer, features: Draws, split: Split, streams: Streams
    ) -> Calibrated | None:
        """See `Knowledge.calibrated`: on the victim's known samples, else, for units, on the shadow model's own.

        Of samples, probabilities are not asked for, and so many more fits are not made.
        """
        by_victim = calibrated_by(scorer, features, split)
        if by_victim is not None or not attack.reading.of_units:
            return by_victim
        ids = np.arange(len(self.member))
        own = Split(ids, self.member, np.full(len(ids), KNOWN), "", 0)
        on_shadow = cross_fitted(attack.over_draws, self.attack.features(self.evidence), own, streams[CALIBRATE])
        return Calibrated(on_shadow.known, None)


@dataclass(frozen=True)
class NoKnowledge(Knowledge):
    """Nothing is known, and nothing has to be: the decision is known beforehand."""

    def fitting(self, attack: Attack, streams: Streams) -> Fitting:
        """See `Knowledge.fitting`."""
        return lambda features, split, rng: attack.over_draws.fit(features[:0], split.member[:0], streams[FIT])


def knowledge_of(attack: Attack, shadow: ShadowModel | None) -> Knowledge:
    """What an attack goes by: nothing where it needs nothing, else the shadow model where there is one."""
    if attack.unfitted:
        return NoKnowledge()
    return shadow or (KnownMembers() if attack.known_sides == MEMBERS_ALONE else KnownSamples())
