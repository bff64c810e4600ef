import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from latentprint.attack_engine.inference.class_threshold import ClassThreshold
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.over_draws import OverDraws
from latentprint.attack_engine.inference.threshold import MeanThreshold, best_threshold

CLASSES = 4


def by_class(rng: np.random.Generator, samples: int, shift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """(metric, class) whose level is the class's own, so that no one threshold serves all."""
    member, label = rng.random(samples) < 0.5, rng.integers(CLASSES, size=samples)
    metric = rng.normal(size=samples) + 5 * label + shift * member
    return np.stack([metric, label], axis=1).astype(np.float32), member


def balanced_accuracy(called: np.ndarray, member: np.ndarray) -> float:
    return float(called[member].mean() + (~called)[~member].mean()) / 2


def test_each_class_has_its_own_best_threshold() -> None:
    rng = np.random.default_rng(0)
    signals, member = by_class(rng, 400)
    scorer = ClassThreshold().fit(signals, member, rng)
    called = scorer.decide(signals)
    for own in range(CLASSES):
        rows = signals[:, 1] == own
        metric = signals[rows, 0].astype(np.float64)
        every = [balanced_accuracy(metric >= t, member[rows]) for t in [*metric, metric.max() + 1]]
        assert balanced_accuracy(called[rows], member[rows]) == pytest.approx(max(every))


def test_scores_rank_by_the_metric_and_decisions_beat_any_one_threshold() -> None:
    rng = np.random.default_rng(1)
    scorer = ClassThreshold().fit(*by_class(rng, 400), rng)
    signals, member = by_class(rng, 2000)
    np.testing.assert_array_equal(scorer.score(signals), signals[:, 0].astype(np.float64))
    metric = signals[:, 0].astype(np.float64)
    single = balanced_accuracy(metric >= best_threshold(metric, member), member)
    assert balanced_accuracy(scorer.decide(signals), member) > single + 0.15
    assert roc_auc_score(member, scorer.score(signals)) < 0.7


def test_nothing_is_found_where_nothing_is_planted() -> None:
    rng = np.random.default_rng(2)
    scorer = ClassThreshold().fit(*by_class(rng, 400, 0.0), rng)
    signals, member = by_class(rng, 4000, 0.0)
    assert abs(balanced_accuracy(scorer.decide(signals), member) - 0.5) < 0.03


def test_classes_without_both_sides_take_the_threshold_of_all() -> None:
    metric = np.array([0, 1, 2, 3, 10, 11, 12], dtype=np.float32)
    label = np.array([0, 0, 0, 0, 1, 1, 1], dtype=np.float32)
    member = np.array([False, False, True, True, True, True, True])
    signals = np.stack([metric, label], axis=1)
    scorer = ClassThreshold().fit(signals, member, np.random.default_rng(0))
    assert scorer.threshold == pytest.approx(1.5)
    unseen = np.array([[1.4, 1], [1.6, 1], [1.4, 7], [1.6, 7]], dtype=np.float32)
    assert scorer.decide(unseen).tolist() == [False, True, False, True]
    with pytest.raises(ValueError, match=r"\(metric, class\), not 3 entries"):
        ClassThreshold().fit(np.zeros((4, 3), dtype=np.float32), np.arange(4) < 2, np.random.default_rng(0))


def test_decisions_over_draws_are_the_scorers_own() -> None:
    rng = np.random.default_rng(3)
    draws, member = by_class(rng, 300)
    one = OverDraws(ClassThreshold()).fit(draws[:, None], member, rng)
    np.testing.assert_array_equal(one.decide(draws[:, None]), one.scorer.decide(draws))
    moved = draws + np.array([-30, 0], dtype=np.float32)
    two = np.stack([draws, moved, moved], axis=1)  # two of three say no
    assert not one.decide(two).any()
    plain = OverDraws(MeanThreshold()).fit(draws[:, None, :1], member, rng)
    np.testing.assert_array_equal(plain.decide(draws[:, None, :1]), draws[:, 0] >= plain.threshold)


def test_a_fixed_threshold_is_not_fitted() -> None:
    signals, member = np.array([[-1], [0], [2]], dtype=np.float32), np.array([True, False, False])
    scorer = Fixed(0.0).fit(signals, member, np.random.default_rng(0))
    np.testing.assert_array_equal(scorer.score(signals), [-1, 0, 2])
    assert (scorer.score(signals) >= scorer.threshold).tolist() == [False, True, True]
