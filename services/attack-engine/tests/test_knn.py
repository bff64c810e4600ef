"""k nearest neighbours as an inference model, against distances by hand."""

import numpy as np
import pytest

from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.inference.knn import NearestNeighbours
from latentprint.attack_engine.statistics.auc import auc
from latentprint.core.errors import UsageError


def drawn(shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [300, 4] whose members lie on a shell that no line cuts off, and who is a member."""
    rng = np.random.default_rng(seed)
    member = np.arange(300) % 2 == 0
    values = rng.normal(size=(300, 4))
    values[member] *= 1 + shift
    return values.astype(np.float32), member


@pytest.mark.parametrize("closer", [False, True])
def test_the_score_is_the_share_of_members_among_the_nearest(closer: bool) -> None:
    (known, member), (others, _) = drawn(1.0, 0), drawn(1.0, 1)
    scorer = NearestNeighbours(5, closer_weighs_more=closer).fit(known, member, np.random.default_rng(0))
    mean, scale = known.mean(axis=0, dtype=float), known.astype(float).std(axis=0)
    distance = np.linalg.norm((others[:, None] - mean) / scale - (known[None] - mean) / scale, axis=2)
    nearest = np.argsort(distance, axis=1)[:, :5]
    weight = 1 / np.take_along_axis(distance, nearest, axis=1) if closer else np.ones(nearest.shape)
    np.testing.assert_allclose(scorer.score(others), (weight * member[nearest]).sum(axis=1) / weight.sum(axis=1), 1e-5)
    assert scorer.threshold == 0.5


def test_what_no_line_parts_is_found_and_nothing_where_there_is_nothing() -> None:
    for shift, low, high in ((1.0, 0.7, 1.0), (0.0, 0.4, 0.6)):
        (known, member), (others, truth) = drawn(shift, 2), drawn(shift, 3)
        score = NearestNeighbours().fit(known, member, np.random.default_rng(0)).score(others)
        assert low < auc(score[truth], score[~truth]) < high


def test_of_few_known_samples_all_vote() -> None:
    known = np.array([[0.0], [1.0]], dtype=np.float32)
    scorer = NearestNeighbours(15, closer_weighs_more=False).fit(
        known, np.array([True, False]), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(scorer.score(known), [0.5, 0.5])


def test_it_is_chosen_by_name_with_its_options() -> None:
    choice = AttackChoice("encodermi", inference="knn", inference_options={"neighbours": 7})
    assert choice.build(0).inference == NearestNeighbours(7)
    with pytest.raises(UsageError, match="at least 1"):
        AttackChoice("encodermi", inference="knn", inference_options={"neighbours": 0}).build(0)
