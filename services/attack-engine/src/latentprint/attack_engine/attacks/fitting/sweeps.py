"""One attack with less: fewer known samples, or fewer queries, from one extraction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.attacks.fitting.scoring import Scored, score_partial, with_less_known
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.checks import require
from latentprint.core.splits import Split

KNOWLEDGE, QUERIES = "knowledge", "queries"


@dataclass(frozen=True)
class SweepChoice:
    """What to repeat an attack with.

    Attributes:
        knowledge: fractions of members and of non-members that are known.
        queries: images a sample.
    """

    knowledge: tuple[float, ...] = ()
    queries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for share in self.knowledge:
            require(0 < share <= 1, "A share of known samples (knowledge)", share, "above 0 and at most 1")
        for count in self.queries:
            require(count >= 1, "A number of images a sample (queries)", count, "at least 1")


NO_SWEEPS = SweepChoice()


@dataclass(frozen=True)
class Swept:
    """Scores at one point of a sweep; `name` is `KNOWLEDGE`, `QUERIES`, or one that the attack's reading gives."""

    name: str
    x: float
    scored: Scored


def sweep(
    attack: Attack, split: Split, victim: Evidence, choice: SweepChoice, rng: np.random.Generator
) -> Iterator[Swept]:
    """Fit and score `attack` at every point of `choice` that it can do with; the evaluated samples stay the same.

    Raises:
        DataError: a knowledge above the split's, or too few samples left.
    """
    subset_seed = int(rng.integers(2**62))
    features = attack.features(victim)
    for fraction in sorted(choice.knowledge):
        less = with_less_known(split, fraction, np.random.default_rng(subset_seed))
        rows = np.isin(split.sample_id, less.sample_id)
        yield Swept(KNOWLEDGE, fraction, score_partial(attack.over_draws, features[rows], less, rng.spawn(1)[0]))
    for queries in sorted(choice.queries):
        fewer = attack.reading.features_within(victim, queries)
        if fewer is not None:
            yield Swept(QUERIES, queries, score_partial(attack.over_draws, fewer, split, rng.spawn(1)[0]))
