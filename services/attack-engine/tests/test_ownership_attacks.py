"""Attacks on ownership: fitted on known private images alone, a score for each held-out image, higher for private."""

import numpy as np
import pytest

from latentprint.attack_engine.asking.endpoint import Counts, EndpointCard
from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownMembers, knowledge_of
from latentprint.attack_engine.attacks.fitting.scoring import audited_split, require_samples
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.gaussian_mixture import GaussianMixtureDensity
from latentprint.attack_engine.inference.linear_decoder import LinearDecoder
from latentprint.attack_engine.inference.standardised_mean import StandardisedMean
from latentprint.attack_engine.signals.answers import unit_vectors
from latentprint.attack_engine.signals.masked import MaskedImages
from latentprint.attack_engine.signals.multi_crop import MultiCropRelations
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import EVALUATION, KNOWN, Split

NAMES = ("dataset-inference", "view-relations", "masked-reconstruction")
SAMPLES, DIM = 240, 8
IDS = np.arange(SAMPLES)
PRIVATE = IDS % 2 == 0
SPLIT = Split(IDS, PRIVATE, np.where(IDS % 4 < 2, KNOWN, EVALUATION), "0" * 64, 0)


class Means:
    """An endpoint whose embedding is the mean colour of each quarter of the image, and how many images it was asked."""

    def __init__(self) -> None:
        self.card = EndpointCard("synthetic", "m", {"embedding": (12,)})
        self.counts = Counts()
        self.asked: list[np.ndarray] = []

    def query(self, images: np.ndarray, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        self.asked.append(images)
        half = images.shape[1] // 2
        quarters = [
            images[:, rows, columns]
            for rows in (slice(half), slice(half, None))
            for columns in (slice(half), slice(half, None))
        ]
        means = [quarter.mean(axis=(1, 2)) for quarter in quarters]
        return {name: np.concatenate(means, axis=1).astype(np.float32) for name in outputs}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)


def planted(attack: Attack, effect: float, seed: int) -> Evidence:
    """What an encoder gives that treats private images as the attack expects it."""
    rng = np.random.default_rng(seed)
    strength = effect * PRIVATE[:, None]
    (signal,) = attack.signals
    if attack.name == "view-relations":
        values = 0.5 + 0.1 * rng.normal(size=(SAMPLES, 3)) + 0.1 * strength
    elif attack.name == "masked-reconstruction":
        whole = rng.normal(size=(SAMPLES, 1, DIM))
        noise = rng.normal(size=(SAMPLES, attack.reading.masks, DIM)) * (1 - 0.5 * strength[:, None])
        values = np.concatenate([whole, whole + 0.5 * noise], axis=1).reshape(SAMPLES, -1)
    else:
        values = rng.normal(size=(SAMPLES, DIM)) + 3 * strength * np.eye(DIM)[rng.integers(0, 3, SAMPLES)]
    return Evidence({signal.name: values.astype(np.float32)})


@pytest.mark.parametrize("name", NAMES)
def test_private_images_score_higher_where_they_are_treated_so_and_not_otherwise(name: str) -> None:
    attack = AttackChoice(name).build(0)
    split = audited_split([attack], SPLIT)
    found, nothing = (
        fit_and_score(
            attack, split, planted(attack, effect, 1), ControlEvidence(), knowledge_of(attack, None), 3
        ).scored
        for effect in (1.0, 0.0)
    )
    private, test = found.sides
    assert (private[:, None] > test).mean() > 0.7
    private, test = nothing.sides
    assert 0.38 < (private[:, None] > test).mean() < 0.62


@pytest.mark.parametrize("name", NAMES)
def test_test_images_teach_nothing_so_that_all_of_them_are_scored(name: str) -> None:
    attack = AttackChoice(name).build(0)
    split, evidence = audited_split([attack], SPLIT), planted(attack, 1.0, 1)
    assert attack.question == "ownership"
    assert knowledge_of(attack, None) == KnownMembers()
    assert set(split.ids(member=False, role=EVALUATION)) == set(IDS[~PRIVATE])
    assert set(split.ids(member=True, role=KNOWN)) == set(SPLIT.ids(member=True, role=KNOWN))
    first = fit_and_score(attack, split, evidence, ControlEvidence(), KnownMembers(), 3)
    (key,) = evidence.values
    changed = evidence.values[key].copy()
    changed[~PRIVATE] += 7
    second = fit_and_score(attack, split, Evidence({key: changed}), ControlEvidence(), KnownMembers(), 3)
    np.testing.assert_array_equal(first.scored.sides[0], second.scored.sides[0])
    assert set(first.scored.sample_id) == set(split.ids(role=EVALUATION))
    assert (first.p_values, dict(first.controls)) == (None, {})


def test_a_split_is_left_alone_where_some_attack_is_fitted_on_both_sides() -> None:
    both = [AttackChoice(name).build(0) for name in ("dataset-inference", "encodermi")]
    assert audited_split(both, SPLIT) is SPLIT


def test_known_private_images_are_needed_and_known_test_images_are_not() -> None:
    few = Split(IDS, PRIVATE, np.where(IDS < 10, KNOWN, EVALUATION), "0" * 64, 0)
    with pytest.raises(DataError, match="5 known and 115 evaluated members"):
        require_samples(few, known=(True,))
    require_samples(audited_split([AttackChoice("dataset-inference").build(0)], SPLIT), known=(True,))


def test_view_relations_are_mean_cosines_within_and_across_the_two_kinds_of_view(images: np.ndarray) -> None:
    endpoint, signal = Means(), MultiCropRelations(2, 3, seed=4)
    batch = signal.extract(images, np.arange(5), endpoint)
    (asked,) = endpoint.asked
    vectors = unit_vectors(endpoint.query(asked, ("embedding",))["embedding"]).reshape(5, 5, -1)
    for image, values in zip(vectors, batch.values, strict=True):
        cosines = image @ image.T
        within = [cosines[0, 1], np.mean([cosines[2, 3], cosines[2, 4], cosines[3, 4]])]
        np.testing.assert_allclose(values, [*within, cosines[:2, 2:].mean()], rtol=1e-5)
    assert len(asked) == 5 * signal.queries_per_sample((16, 24, 3))


def test_masks_are_grey_squares_of_the_stated_share_and_the_rest_is_the_image(images: np.ndarray) -> None:
    endpoint, signal = Means(), MaskedImages(masks=3, share=0.25, grid=4, seed=2)
    batch = signal.extract(images, np.arange(5), endpoint)
    asked = endpoint.asked[0].reshape(5, 4, *images.shape[1:])
    np.testing.assert_array_equal(asked[:, 0], images)
    changed = (asked[:, 1:] != images[:, None]).any(axis=-1)
    np.testing.assert_allclose(changed.mean(axis=(2, 3)), 0.25, atol=0.02)
    assert (asked[:, 1:][changed] == 127).all()
    assert not np.array_equal(asked[:, 1], asked[:, 2])
    alone = signal.extract(images[3:4], np.array([3]), endpoint)
    np.testing.assert_allclose(alone.values[0], batch.values[3], rtol=1e-6)


def test_the_decoder_is_fed_the_masked_and_asked_for_the_whole() -> None:
    attack = AttackChoice("masked-reconstruction", {"masks": 2}).build(0)
    values = np.arange(1, 19, dtype=np.float32).reshape(1, 18) ** 2
    (signal,) = attack.signals
    draws = attack.features(Evidence({signal.name: values}))
    whole, *masked = unit_vectors(values.reshape(3, 6))
    assert draws.shape == (1, 2, 12)
    for draw, given in zip(draws[0], masked, strict=True):
        np.testing.assert_allclose(draw, [*given, *whole], rtol=1e-5)


def test_few_known_images_make_fewer_components() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 4)).astype(np.float32)
    member = np.arange(40) < 20
    fitted = GaussianMixtureDensity(components=50).fit(features, member, rng)
    assert fitted.model.n_components == 4
    np.testing.assert_allclose(fitted.threshold, fitted.score(features[member]).mean())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("masked-reconstruction", {"share": 0.01}),
        ("masked-reconstruction", {"share": 1.0}),
        ("masked-reconstruction", {"masks": 0}),
        ("view-relations", {"local_views": 1}),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=name):
        _ = AttackChoice(name, options).build(0).signals


def test_inference_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        GaussianMixtureDensity(components=0)
    with pytest.raises(UsageError, match="pairs of equal length"):
        LinearDecoder().fit(np.zeros((4, 3), np.float32), np.ones(4, bool), np.random.default_rng(0))
    assert (
        StandardisedMean().fit(np.ones((4, 2), np.float32), np.ones(4, bool), np.random.default_rng(0)).threshold == 0
    )
