from dataclasses import replace

import numpy as np
import pytest

from latentprint.attack_engine.attacks.fitting.scoring import (
    cross_fitted,
    exchanged,
    require_samples,
    score_partial,
    with_less_known,
)
from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.logistic import Logistic, LogisticScorer
from latentprint.attack_engine.inference.mlp import MlpClassifier
from latentprint.attack_engine.inference.over_draws import Draws, OverDraws
from latentprint.core.errors import DataError
from latentprint.core.splits import EVALUATION, KNOWN, Split, Units


def make_split(members: int, others: int, known: float = 0.5) -> Split:
    member = np.arange(members + others) < members
    role = np.full(len(member), EVALUATION)
    role[: int(members * known)] = KNOWN
    role[members : members + int(others * known)] = KNOWN
    return Split(np.arange(len(member)) * 3, member, role, "0" * 64, 0)


def signals_of(split: Split, shift: float, rng: np.random.Generator) -> Draws:
    values = rng.normal(size=(len(split.member), 1, 6))
    values[split.member] += shift
    return values.astype(np.float32)


class Watching:
    """A real inference model that records which rows it was shown."""

    def __init__(self) -> None:
        self.seen: list[Features] = []

    def fit(self, signals: Features, member: Membership, rng: np.random.Generator) -> LogisticScorer:
        self.seen.append(signals)
        return Logistic().fit(signals, member, rng)


def test_evaluated_samples_are_never_fitted() -> None:
    rng = np.random.default_rng(0)
    split = make_split(40, 60)
    signals = signals_of(split, 0.5, rng)
    watching = Watching()
    score_partial(OverDraws(watching), signals, split, rng)
    cross_fitted(OverDraws(watching), signals, split, rng)
    known = {row.tobytes() for row in signals[split.role == KNOWN]}
    assert {row.tobytes() for shown in watching.seen for row in shown} == known


def test_scores_line_up_with_their_samples_in_any_order() -> None:
    rng = np.random.default_rng(0)
    split = make_split(100, 100)
    signals = signals_of(split, 1.0, rng)
    order = rng.permutation(len(split.member))
    mixed = Split(split.sample_id[order], split.member[order], split.role[order], split.dataset_digest, 0)
    first = score_partial(OverDraws(Logistic()), signals, split, np.random.default_rng(1))
    second = score_partial(OverDraws(Logistic()), signals[order], mixed, np.random.default_rng(1))
    expected = dict(zip(first.sample_id, first.score, strict=True))
    np.testing.assert_allclose(second.score, [expected[i] for i in second.sample_id], atol=1e-6)


@pytest.mark.parametrize("inference", [Logistic(), MlpClassifier(hidden=(64,), epochs=60)], ids=str)
def test_p_values_of_non_members_are_calibrated_though_the_model_overfits(inference: Logistic | MlpClassifier) -> None:
    split, p_values = make_split(60, 200), []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        p = cross_fitted(OverDraws(inference), signals_of(split, 0.3, rng), split, rng).p_values
        p_values.append(p[~split.member[split.role != KNOWN]])
    drawn = np.concatenate(p_values)
    for level in (0.05, 0.1, 0.25, 0.5):
        assert (drawn <= level).mean() <= level + 0.035
    assert 0.4 < drawn.mean() < 0.6


def test_p_values_of_members_are_small_where_membership_shows() -> None:
    rng = np.random.default_rng(0)
    split = make_split(100, 100)
    p = cross_fitted(OverDraws(Logistic()), signals_of(split, 2.0, rng), split, rng).p_values
    member = split.member[split.role != KNOWN]
    assert np.median(p[member]) <= 0.02
    assert p.min() >= 1 / 51


def test_exchanged_roles_hold_only_non_members_in_equal_halves() -> None:
    split = make_split(50, 100)
    drawn = exchanged(split, np.random.default_rng(0))
    assert drawn is not None
    assert set(drawn.sample_id) == set(split.ids(member=False))
    for role in (KNOWN, EVALUATION):
        assert len(drawn.ids(member=True, role=role)) == len(drawn.ids(member=False, role=role)) == 25
        assert set(drawn.ids(role=role)) == set(split.ids(member=False, role=role))
    assert exchanged(make_split(50, 30), np.random.default_rng(0)) is None


def test_too_few_samples_are_refused_with_the_counts() -> None:
    with pytest.raises(DataError, match="5 known and 5 evaluated members; an attack needs at least 10"):
        require_samples(make_split(10, 100))
    require_samples(make_split(20, 20))


def test_units_of_several_samples_are_no_samples() -> None:
    split = make_split(20, 20)
    users = replace(split, units=Units(split.sample_id // 6, split.member))
    with pytest.raises(DataError, match="40 samples belong to 20 units"):
        require_samples(users)


def test_less_knowledge_is_nested_and_leaves_the_evaluated_samples_alone() -> None:
    split = make_split(200, 400)
    known = {}
    for fraction in (0.1, 0.25, 0.5):
        less = with_less_known(split, fraction, np.random.default_rng(4))
        assert set(less.ids(role=EVALUATION)) == set(split.ids(role=EVALUATION))
        assert len(less.ids(member=True, role=KNOWN)) == 200 * fraction
        assert len(less.ids(member=False, role=KNOWN)) == 400 * fraction
        known[fraction] = set(less.ids(role=KNOWN))
    assert known[0.1] < known[0.25] < known[0.5] == set(split.ids(role=KNOWN))
    with pytest.raises(DataError, match=r"A knowledge of 0\.6 needs 120 known samples of a side; the split knows 100"):
        with_less_known(split, 0.6, np.random.default_rng(4))
    with pytest.raises(DataError, match="at least 10 known"):
        with_less_known(split, 0.02, np.random.default_rng(4))


def test_over_draws_fits_every_draw_and_scores_their_mean() -> None:
    rng = np.random.default_rng(0)
    split = make_split(100, 100)
    draws = np.concatenate([signals_of(split, 0.4, rng) for _ in range(4)], axis=1)
    watching = Watching()
    scorer = OverDraws(watching).fit(draws, split.member, rng)
    (seen,) = watching.seen
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in draws.reshape(-1, 6)}
    plain = Logistic().fit(seen, np.tile(split.member, 4), rng)
    expected = np.mean([plain.score(draws[:, r]) for r in range(4)], axis=0)
    np.testing.assert_allclose(scorer.score(draws), expected, atol=1e-9)
    order = rng.permutation(200)
    np.testing.assert_allclose(scorer.score(draws[order]), expected[order], atol=1e-9)


def test_an_mlp_meets_another_draw_at_every_pass_and_makes_no_more_of_them() -> None:
    rng = np.random.default_rng(0)
    split = make_split(60, 60)
    one, four = signals_of(split, 1.0, rng), np.concatenate([signals_of(split, 1.0, rng) for _ in range(4)], axis=1)
    short = OverDraws(MlpClassifier(hidden=(8,), epochs=8)).fit(four, split.member, np.random.default_rng(1))
    same = MlpClassifier(hidden=(8,), epochs=2).fit(
        four.swapaxes(0, 1).reshape(-1, 6), np.tile(split.member, 4), np.random.default_rng(1)
    )
    np.testing.assert_allclose(short.score(four[:, :1]), same.score(four[:, 0]), atol=1e-6)
    assert OverDraws(MlpClassifier(hidden=(8,), epochs=3)).fit(one, split.member, rng).score(one).shape == (120,)
