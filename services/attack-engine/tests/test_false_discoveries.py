"""The false discovery rate of the calls that an audit makes: its own p-values, on the samples that it evaluates."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from latentprint.attack_engine.attacks.fitting.scoring import cross_fitted, score_partial
from latentprint.attack_engine.inference.base import Features, Membership, Scores
from latentprint.attack_engine.inference.over_draws import Draws, OverDraws
from latentprint.attack_engine.statistics.discoveries import discover
from latentprint.core.splits import EVALUATION, KNOWN, Split

FDR, DRAWS = 0.05, 500
# Proportions in [0, 1] of mean FDR at most: their sum passes a point with at most e times the probability with which a
# binomial count does (Bentkus, "On Hoeffding's inequalities", Annals of Probability 2004).
MOST = binom.ppf(1 - 1e-3 / np.e, DRAWS, FDR) / DRAWS


@dataclass(frozen=True)
class Projection:
    """Scores along a direction."""

    direction: NDArray[np.float64]
    threshold: float = 0.0

    def score(self, signals: Features) -> Scores:
        return signals.astype(np.float64) @ self.direction


class MeanDifference:
    """A linear discriminant with unit covariance: fast, and it overfits where dimensions are many."""

    def fit(self, signals: Features, member: Membership, rng: np.random.Generator) -> Projection:
        return Projection(signals[member].mean(axis=0) - signals[~member].mean(axis=0))


def make_split(known: tuple[int, int], evaluated: tuple[int, int]) -> Split:
    """Members and non-members, known and evaluated."""
    member = np.repeat([True, False, True, False], [*known, *evaluated])
    role = np.repeat([KNOWN, EVALUATION], [sum(known), sum(evaluated)])
    return Split(np.arange(len(member)), member, role, "0" * 64, 0)


def in_sample(inference: OverDraws, features: Draws, split: Split, rng: np.random.Generator) -> NDArray[np.float64]:
    """p-values as they must not be: calibrated on non-members that trained the model."""
    known = split.role == KNOWN
    scorer = inference.fit(features[known], split.member[known], rng)
    calibration = scorer.score(features[known & ~split.member])
    at_least = (calibration >= score_partial(inference, features, split, rng).score[:, None]).sum(axis=1)
    return (1 + at_least) / (1 + len(calibration))


def conformal(inference, features, split, rng):
    return cross_fitted(inference, features, split, rng).p_values


def simulated(split: Split, shift: float, dimensions: int, p_values=conformal) -> tuple[float, float]:
    """Mean proportion of false discoveries, and mean share of the evaluated members that are found."""
    evaluated = split.member[split.role != KNOWN]
    ids, false, found = np.arange(len(evaluated)), [], []
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, 11])
        signals = rng.normal(size=(len(split.member), 1, dimensions)).astype(np.float32)
        signals[split.member] += shift / dimensions**0.5
        called = discover(ids, evaluated, p_values(OverDraws(MeanDifference()), signals, split, rng), fdr=FDR)
        false.append((len(called.sample_ids) - called.true_members) / max(1, len(called.sample_ids)))
        found.append(called.true_members / max(1, np.count_nonzero(evaluated)))
    return float(np.mean(false)), float(np.mean(found))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5, 4.0])
@pytest.mark.parametrize(
    ("known", "evaluated", "dimensions"),
    [
        ((50, 50), (50, 50), 6),
        ((100, 400), (10, 10), 6),
        ((100, 400), (10, 10), 60),  # more than the known samples determine
        ((40, 400), (2, 18), 6),  # few members
        ((40, 400), (18, 2), 6),  # few non-members
        ((20, 400), (0, 20), 6),  # none at all: every call is false
        ((400, 40), (100, 100), 6),
        ((200, 1000), (10, 40), 6),
    ],
)
def test_the_false_discovery_rate_is_kept(known, evaluated, dimensions, shift):
    false, found = simulated(make_split(known, evaluated), shift, dimensions)
    assert false <= MOST
    if shift == 4 and evaluated[0] and evaluated[0] / sum(evaluated) > 2 / known[1]:
        assert found > 0.5


def test_the_simulation_tells_p_values_that_do_not_hold():
    false, _ = simulated(make_split((40, 400), (0, 20)), 0.0, 300, in_sample)
    assert false > MOST


def test_p_values_count_the_known_non_members_at_or_above_fold_by_fold():
    split, rng = make_split((20, 30), (5, 5)), np.random.default_rng(0)
    signals = rng.normal(size=(60, 1, 4)).astype(np.float32)
    p_values = conformal(OverDraws(MeanDifference()), signals, split, np.random.default_rng(1))
    assert set(np.round(p_values * 31, 9)) <= set(range(1, 32))
    assert p_values.min() >= 1 / 31
