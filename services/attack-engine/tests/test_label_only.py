"""The attack "label-only": the distance to a known boundary, by a fixed number of predicted classes."""

from dataclasses import dataclass

import numpy as np
import pytest

from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.boundary import BoundaryDistance
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.core.errors import UsageError

SEARCH = BoundaryDistance()
FEATURES, SIDE = 40, 8
IDS = np.arange(60)


@dataclass
class HalfSpace:
    """An endpoint that answers with a class alone: on which side of a plane a sample lies.

    Attributes:
        normal: [F], of length 1.
        offset: of the plane.
        asked: samples so far.
    """

    normal: np.ndarray
    offset: float
    asked: int = 0

    def query(self, samples: np.ndarray, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        assert outputs == ("posterior",)
        self.asked += len(samples)
        return {"posterior": np.eye(2, dtype=np.float32)[(self.distance(samples) > 0).astype(np.int64)]}

    def distance(self, samples: np.ndarray) -> np.ndarray:
        return samples.reshape(len(samples), -1).astype(np.float64) @ self.normal - self.offset


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(IDS), FEATURES)).astype(np.float32)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth images, darker and brighter than the plane."""
    grey = np.random.default_rng(1).integers(60, 196, size=(len(IDS), 2, 2, 3))
    return grey.repeat(SIDE // 2, axis=1).repeat(SIDE // 2, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def plane() -> HalfSpace:
    normal = np.random.default_rng(2).normal(size=FEATURES)
    return HalfSpace(normal / np.linalg.norm(normal), 0.2)


@pytest.fixture(scope="module")
def brightness() -> HalfSpace:
    pixels = SIDE * SIDE * 3
    return HalfSpace(np.full(pixels, pixels**-0.5), 128 * pixels**0.5)


def test_the_distance_of_a_vector_to_a_plane_is_approached_from_above(vectors, plane):
    found = SEARCH.extract(vectors, IDS, plane).values
    assert found.dtype == np.float32
    truth = np.abs(plane.distance(vectors))
    assert (found[:, 1:] >= truth[:, None] * (1 - 1e-5)).all()
    assert (np.diff(found[:, 1:], axis=1) <= 0).all()
    longer = BoundaryDistance(queries=2000, rounds=10).extract(vectors, IDS, plane).values[:, -1]
    assert np.median(longer / truth) < 1.15
    assert np.median(longer / truth) < np.median(found[:, -1] / truth) < np.median(found[:, 1] / truth)
    assert np.corrcoef(found[:, -1], truth)[0, 1] > 0.9


def test_the_distance_of_an_image_is_that_of_grey_levels_that_were_asked(images, brightness):
    found = SEARCH.extract(images, IDS, brightness).values
    truth = np.abs(brightness.distance(images)) / 255
    assert (found[:, -1] >= truth * (1 - 1e-5)).all()
    assert np.corrcoef(found[:, -1], truth)[0, 1] > 0.9


@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_it_asks_as_many_queries_as_it_says_of_each_sample_alone(kind, request, plane, brightness):
    samples, endpoint = request.getfixturevalue(kind), plane if kind == "vectors" else brightness
    search, before = BoundaryDistance(queries=77, rounds=3), endpoint.asked
    together = search.extract(samples, IDS, endpoint).values
    assert endpoint.asked - before == len(IDS) * 77 == len(IDS) * search.queries_per_sample(samples.shape[1:])
    order = np.array([31, 4, 5])
    np.testing.assert_array_equal(search.extract(samples[order], IDS[order], endpoint).values, together[order])


def test_fewer_queries_give_the_distance_after_as_many_rounds_as_they_pay(vectors, plane):
    search = BoundaryDistance(queries=74, rounds=3)  # 20, then 18 a round
    values = search.extract(vectors, IDS, plane).values
    for queries, column in ((20, 1), (37, 1), (38, 2), (73, 3), (74, 4)):
        np.testing.assert_array_equal(search.features(values, queries)[:, 0], values[:, [0, column]])
    assert search.features(values, 19) is search.features(values, 75) is None
    np.testing.assert_array_equal(search.features(values), search.features(values, 74))


def test_a_sample_without_another_class_is_as_far_as_the_farthest_candidate(vectors):
    everywhere = HalfSpace(np.zeros(FEATURES), -1.0)
    values = SEARCH.extract(vectors, IDS, everywhere).values
    assert np.isfinite(values).all()
    assert (values[:, 1:] == values[:, 1:2]).all()
    assert (values[:, 1] > 0).all()


def test_samples_of_a_wrong_predicted_class_lie_below_all_others():
    attack = AttackChoice("label-only").build(0)
    held = Evidence({SEARCH.name: np.array([[1, 9, 3], [1, 9, 0.5], [0, 9, 3]], dtype=np.float32)}, label=np.ones(3))
    np.testing.assert_array_equal(attack.features(held)[:, 0, 0], [3, 0.5, -3])


def test_members_that_lie_deeper_in_their_class_are_found_and_others_are_not(plane):
    attack = AttackChoice("label-only", {"queries": 100, "rounds": 3}).build(0)

    def audited(deeper: float) -> np.ndarray:
        rng, ids = np.random.default_rng(5), np.arange(200)
        samples, member = rng.normal(size=(200, FEATURES)), ids < 100
        label = (plane.distance(samples) > 0).astype(np.int64)
        samples += np.where(member, deeper, 0)[:, None] * (2 * label[:, None] - 1) * plane.normal
        found = attack.signals[0].extract(samples.astype(np.float32), ids, plane).values
        scores = attack.features(Evidence({SEARCH.name: found}, label=label))[:, 0, 0]
        return estimate_auc(scores[member], scores[~member])

    assert audited(0.5).interval.low > 0.5
    assert audited(0.0).interval.contains(0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"queries": 67}, "label-only: queries must be at least 68 in 4 rounds"), ({"rounds": 0}, "rounds must be at")],
)
def test_fewer_queries_than_the_search_needs_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        AttackChoice("label-only", options).build(0)
