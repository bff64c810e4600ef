"""LiRA, EnhancedMIA and RMIA against slow oracles, and what all attacks with references have in common."""

import math
from collections.abc import Callable
from statistics import NormalDist, fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from latentprint.attack_engine.attacks.membership.bavaria import bavaria_offline, bavaria_online
from latentprint.attack_engine.attacks.membership.enhanced_mia import loss_quantile
from latentprint.attack_engine.attacks.membership.lira import lira_offline, lira_online
from latentprint.attack_engine.attacks.membership.rmia import in_average_slope, rmia
from latentprint.attack_engine.evidence.posterior_metrics import loss_of_phi
from latentprint.core.errors import DataError

Attack = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def planted(
    rng: np.random.Generator, samples: int, references: int, effect: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """phi [S], of references [K, S], inside [K, S], member [S]; each sample has its own level and spread."""
    level, spread = rng.normal(size=samples) * 4, rng.uniform(0.5, 2, size=samples)
    rows = np.argsort(rng.random((references, samples)), axis=0) < references // 2
    member = rng.random(samples) < 0.5
    every = np.concatenate([rows, member[None]])
    phi = level + spread * rng.normal(size=every.shape) + effect * spread * every
    return phi[-1], phi[:-1], rows, member


def of_population(phi: np.ndarray, references: np.ndarray, inside: np.ndarray, *, offline: bool) -> np.ndarray:
    rng = np.random.default_rng(99)
    others, of_others, rows, _ = planted(rng, 60, len(references), 0.0)
    return rmia(phi, references, inside, others, of_others, rows, offline=offline, gamma=1.0)


ATTACKS: dict[str, Attack] = {
    "lira online": lambda p, r, i: lira_online(p[:, None], r[..., None], i),
    "lira online, global": lambda p, r, i: lira_online(p[:, None], r[..., None], i, variance="global"),
    "lira offline": lambda p, r, i: lira_offline(p[:, None], r[..., None], i),
    "lira offline, global": lambda p, r, i: lira_offline(p[:, None], r[..., None], i, variance="global"),
    "enhanced, gaussian": lambda p, r, i: loss_quantile(loss_of_phi(p), loss_of_phi(r), ~i, distribution="gaussian"),
    "enhanced, empirical": lambda p, r, i: loss_quantile(loss_of_phi(p), loss_of_phi(r), ~i, distribution="empirical"),
    "enhanced, mean": lambda p, r, i: loss_quantile(loss_of_phi(p), loss_of_phi(r), ~i, distribution="mean"),
    "rmia online": lambda p, r, i: of_population(p, r, i, offline=False),
    "rmia offline": lambda p, r, i: of_population(p, r, i, offline=True),
    "bavaria-t online": lambda p, r, i: bavaria_online(p[:, None], r[..., None], i),
    "bavaria-n online": lambda p, r, i: bavaria_online(p[:, None], r[..., None], i, predictive="n"),
    "bavaria-t offline": lambda p, r, i: bavaria_offline(p[:, None], r[..., None], i),
    "bavaria-n offline": lambda p, r, i: bavaria_offline(p[:, None], r[..., None], i, predictive="n"),
}
SHARING = {name for name in ATTACKS if "global" in name or "bavaria" in name}  # fit something to all samples


@pytest.mark.parametrize("name", ATTACKS)
def test_a_planted_member_is_found_and_nothing_where_nothing_is_planted(name: str) -> None:
    rng = np.random.default_rng(0)
    phi, references, inside, member = planted(rng, 3000, 16, 2.0)
    assert roc_auc_score(member, ATTACKS[name](phi, references, inside)) > (0.7 if "rmia" in name else 0.8)
    phi, references, inside, member = planted(rng, 3000, 16, 0.0)
    assert abs(roc_auc_score(member, ATTACKS[name](phi, references, inside)) - 0.5) < 0.04


@pytest.mark.parametrize("name", ATTACKS)
def test_the_order_of_references_and_of_samples_is_irrelevant(name: str) -> None:
    rng = np.random.default_rng(1)
    phi, references, inside, _ = planted(rng, 40, 12, 1.0)
    score = ATTACKS[name](phi, references, inside)
    order, samples = rng.permutation(12), rng.permutation(40)
    if "rmia" not in name:  # whose population has the same references
        np.testing.assert_allclose(ATTACKS[name](phi, references[order], inside[order]), score, rtol=1e-9)
    again = ATTACKS[name](phi[samples], references[:, samples], inside[:, samples])
    np.testing.assert_allclose(again, score[samples], rtol=1e-9)


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - SHARING))
def test_a_sample_is_scored_alike_whatever_the_others_are(name: str) -> None:
    rng = np.random.default_rng(2)
    phi, references, inside, _ = planted(rng, 30, 12, 1.0)
    alone = ATTACKS[name](phi[3:4], references[:, 3:4], inside[:, 3:4])
    np.testing.assert_allclose(alone, ATTACKS[name](phi, references, inside)[3:4], rtol=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_higher_phi_never_lowers_a_one_sided_score_and_certainty_is_finite(name: str) -> None:
    rng = np.random.default_rng(3)
    _, references, inside, _ = planted(rng, 30, 12, 1.0)
    references[:, :3] = 69.1
    references[:, 3:6] = -69.1
    levels = np.array([-69.1, -20, -3, 0, 3, 20, 69.1])
    scores = np.array([ATTACKS[name](np.full(30, level), references, inside) for level in levels])
    assert np.isfinite(scores.astype(np.float32)).all()
    if "online" not in name or "rmia" in name:
        assert (np.diff(scores, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("variance", ["per-sample", "global"])
def test_lira_equals_its_algorithm_sample_by_sample(variance: str) -> None:
    rng = np.random.default_rng(4)
    phi, references = rng.normal(size=(7, 3)), rng.normal(size=(9, 7, 3))
    inside = np.argsort(rng.random((9, 7)), axis=0) < 4
    online, offline = naive_lira(phi, references, inside, variance)
    np.testing.assert_allclose(lira_online(phi, references, inside, variance=variance), online, rtol=1e-10)
    np.testing.assert_allclose(lira_offline(phi, references, inside, variance=variance), offline, rtol=1e-10)


def naive_lira(
    phi: np.ndarray, references: np.ndarray, inside: np.ndarray, variance: str
) -> tuple[list[float], list[float]]:
    models, samples, queries = references.shape
    online, offline = [], []
    for s in range(samples):
        ratios, tails = [], []
        for a in range(queries):
            fitted = {}
            for side in (True, False):
                own = [references[k, s, a] for k in range(models) if inside[k, s] == side]
                spread = pstdev(own) if variance == "per-sample" else naive_pooled(references[..., a], inside, side)
                fitted[side] = NormalDist(fmean(own), spread)
            ratios.append(math.log(fitted[True].pdf(phi[s, a]) / fitted[False].pdf(phi[s, a])))
            tails.append(-math.log(naive_lower_tail(-fitted[False].zscore(phi[s, a]))))
        online.append(fmean(ratios))
        offline.append(fmean(tails))
    return online, offline


def naive_lower_tail(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def naive_pooled(references: np.ndarray, inside: np.ndarray, side: bool) -> float:
    squares, freedom = 0.0, 0
    for s in range(references.shape[1]):
        own = [references[k, s] for k in range(len(references)) if inside[k, s] == side]
        squares += sum((x - fmean(own)) ** 2 for x in own)
        freedom += len(own) - 1
    return math.sqrt(squares / freedom)


def test_offline_lira_ranks_as_the_lower_tail_does() -> None:
    rng = np.random.default_rng(5)
    phi, references, inside, _ = planted(rng, 50, 10, 0.0)
    below = [
        NormalDist(fmean(r[~i]), pstdev(r[~i])).cdf(p) for p, r, i in zip(phi, references.T, inside.T, strict=True)
    ]
    np.testing.assert_array_equal(
        np.argsort(lira_offline(phi[:, None], references[..., None], inside)), np.argsort(below)
    )


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rounded=st.booleans())
def test_loss_quantiles_equal_counting_one_by_one(seed: int, rounded: bool) -> None:
    rng = np.random.default_rng(seed)
    loss, references = rng.exponential(size=5), rng.exponential(size=(6, 5))
    if rounded:  # ties
        loss, references = np.round(loss), np.round(references)
    outside = np.argsort(rng.random((6, 5)), axis=0) < 4
    scores = {
        name: loss_quantile(loss, references, outside, distribution=name) for name in ("gaussian", "empirical", "mean")
    }
    for s in range(5):
        own = [references[k, s] for k in range(6) if outside[k, s]]
        alpha = (sum(x < loss[s] for x in own) + (sum(x == loss[s] for x in own) + 1) / 2) / (len(own) + 1)
        normal = naive_lower_tail((loss[s] - fmean(own)) / max(pstdev(own), 1e-6))
        assert scores["empirical"][s] == pytest.approx(-math.log(alpha), abs=1e-10)
        if normal > 0:
            assert scores["gaussian"][s] == pytest.approx(-math.log(normal), rel=1e-9, abs=1e-10)
    np.testing.assert_allclose(scores["mean"], (scores["gaussian"] + scores["empirical"]) / 2, rtol=1e-12)


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("gamma", [1.0, 1.3])
def test_rmia_equals_comparing_with_the_population_one_by_one(offline: bool, gamma: float) -> None:
    rng = np.random.default_rng(6)
    phi, population = rng.normal(size=12) * 2, rng.normal(size=25) * 2
    references, of_population = rng.normal(size=(8, 12)) * 2, rng.normal(size=(8, 25)) * 2
    inside = np.argsort(rng.random((8, 12)), axis=0) < 4
    population_inside = np.argsort(rng.random((8, 25)), axis=0) < rng.integers(0, 5, size=25)  # some in none
    a = 0.4

    def ratio(own: float, others: np.ndarray, trained: np.ndarray) -> float:
        p = [1 / (1 + math.exp(-x)) for x in others]
        out = fmean(q for q, i in zip(p, trained, strict=True) if not i)
        known = [q for q, i in zip(p, trained, strict=True) if i]
        within = a * out + 1 - a if offline or not known else fmean(known)
        return 1 / (1 + math.exp(-own)) / ((within + out) / 2)

    expected = []
    for s in range(12):
        x = ratio(phi[s], references[:, s], inside[:, s])
        z = [ratio(population[j], of_population[:, j], population_inside[:, j]) for j in range(25)]
        expected.append(sum(x / r >= gamma for r in z) / 25)
    arguments = (phi, references, inside, population, of_population, population_inside)
    np.testing.assert_allclose(rmia(*arguments, offline=offline, a=a, gamma=gamma), expected, atol=1e-10)


def test_equal_ratios_reach_a_gamma_of_one() -> None:
    same, none = np.full((2, 3), 1.0), np.zeros((2, 3), dtype=bool)
    assert (rmia(same[0], same, none, same[0], same, none, offline=True, gamma=1.0) == 1).all()
    assert (rmia(same[0], same, none, same[0], same, none, offline=True, gamma=1.01) == 0).all()


FEWEST = {"lira online": 2, "lira offline": 2, "lira online, global": 1, "enhanced, mean": 2, "rmia offline": 1}


@pytest.mark.parametrize(("name", "fewest"), FEWEST.items())
def test_samples_with_too_few_references_are_counted(name: str, fewest: int) -> None:
    phi, references, inside, _ = planted(np.random.default_rng(7), 20, 8, 1.0)
    inside[:, 4] = True
    with pytest.raises(DataError, match=f"1 of 20 samples have fewer than {fewest} OUT reference models"):
        ATTACKS[name](phi, references, inside)


def test_online_attacks_need_references_trained_on_the_sample() -> None:
    phi, references, inside, _ = planted(np.random.default_rng(8), 20, 8, 1.0)
    inside[:, :2] = False
    for name in ("lira online", "rmia online"):
        with pytest.raises(DataError, match=r"2 of 20 samples have fewer than \d IN reference models"):
            ATTACKS[name](phi, references, inside)
    with pytest.raises(DataError, match="A prior needs two samples with two reference models"):
        ATTACKS["bavaria-t online"](phi, references, np.zeros_like(inside))
    with pytest.raises(DataError, match="No sample has two reference models of one kind"):
        lira_offline(phi[:, None], references[:1, :, None], inside[:1] & False, variance="global")
    with pytest.raises(ValueError, match="RMIA compares with a population"):
        rmia(phi, references, inside, phi[:0], references[:, :0], inside[:, :0], offline=True)


def test_the_slope_of_in_averages_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    outside = rng.uniform(0.05, 0.6, 50)
    inside = 0.8 * outside + 0.2
    probability = np.stack([outside, inside, outside, inside])
    rows = np.array([False, True, False, True])[:, None].repeat(50, axis=1)
    assert in_average_slope(np.log(probability / (1 - probability)), rows) == pytest.approx(0.8)
    with pytest.raises(DataError, match="IN reference models"):
        in_average_slope(probability, np.zeros_like(rows))
