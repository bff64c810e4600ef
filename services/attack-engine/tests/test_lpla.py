"""The attack "lpla": likelihood ratios of an embedding's p-norms."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.stats import norm

from latentprint.attack_engine.asking.endpoint import Answers, Counts, EndpointCard
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.gaussian_ratio import GaussianRatio
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.statistics.auc import auc
from latentprint.core.errors import UsageError
from latentprint.core.splits import EVALUATION, KNOWN, Split

EMBEDDING = PlainAnswer("embedding")
SAMPLES = 400


@dataclass
class MeanColour:
    """An endpoint whose embedding is an image's mean colour."""

    counts: Counts = field(default_factory=Counts)
    card: EndpointCard = field(default_factory=lambda: EndpointCard("synthetic", "m", {"embedding": (3,)}))

    def query(self, images: np.ndarray, outputs: tuple[str, ...]) -> Answers:
        return {"embedding": images.mean(axis=(1, 2)).astype(np.float32)}


def embeddings(seed: int, *, spread: float) -> tuple[np.ndarray, Split]:
    """Embeddings [S, 8] whose lengths vary more among members, about one mean; half of either side is known."""
    rng = np.random.default_rng(seed)
    member = np.arange(SAMPLES) < SAMPLES // 2
    direction = rng.normal(size=(SAMPLES, 8))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = 10 + rng.normal(size=SAMPLES) * np.where(member, spread, 1.0)
    role = np.where(np.arange(SAMPLES) % 2 == 0, KNOWN, EVALUATION)
    split = Split(np.arange(SAMPLES), member, role, "0" * 64, seed)
    return (direction * length[:, None]).astype(np.float32), split


def test_it_reads_three_norms_of_the_answer_that_supervisedmi_asks() -> None:
    attack = AttackChoice("lpla").build(0)
    assert attack.signals == AttackChoice("supervisedmi").build(0).signals == (EMBEDDING,)
    held = Evidence({EMBEDDING.name: np.array([[3.0, -4.0], [0.0, 2.0]], dtype=np.float32)})
    np.testing.assert_allclose(attack.features(held), [[[7, 5, 4]], [[2, 2, 2]]])
    huge = Evidence({EMBEDDING.name: np.full((1, 4), 1e30, dtype=np.float32)})
    np.testing.assert_allclose(attack.features(huge), [[[4e30, 2e30, 1e30]]], rtol=1e-6)


def test_views_are_averaged_with_the_image_and_fewer_are_their_first_ones() -> None:
    attack = AttackChoice("lpla", {"views": 3}).build(0)
    images = np.random.default_rng(0).integers(0, 256, size=(5, 8, 8, 3), dtype=np.uint8)
    assert [signal.queries_per_sample((8, 8, 3)) for signal in attack.signals] == [1, 3]
    held = {one.name: one.extract(images, np.arange(5), MeanColour()).values for one in attack.signals}
    plain, views = (held[signal.name] for signal in attack.signals)
    assert views.shape == (5, 9)
    largest = np.abs(plain).max(axis=1)
    np.testing.assert_allclose(
        attack.features(Evidence(held))[:, 0, 2], (largest + views[:, [2, 5, 8]].sum(axis=1)) / 4, rtol=1e-6
    )
    two = attack.reading.features_within(Evidence(held), 2)
    np.testing.assert_allclose(two[:, 0, 2], (largest + views[:, 2]) / 2, rtol=1e-6)
    assert attack.reading.features_within(Evidence(held), 5) is None


def test_the_score_is_the_sum_of_two_gaussians_log_likelihood_ratios() -> None:
    rng = np.random.default_rng(3)
    member = np.arange(60) < 20
    known = np.column_stack([rng.normal(np.where(member, 2, 0), 1), rng.normal(0, np.where(member, 3, 1)), np.ones(60)])
    scorer = GaussianRatio().fit(known.astype(np.float32), member, rng)
    asked = rng.normal(size=(7, 3)).astype(np.float32)
    asked[:, 2] = 1
    expected = np.zeros(7)
    for column in (0, 1):  # the third tells nothing
        inside, outside = known[member, column], known[~member, column]
        expected += norm.logpdf(asked[:, column], inside.mean(), inside.std())
        expected -= norm.logpdf(asked[:, column], outside.mean(), outside.std())
    np.testing.assert_allclose(scorer.score(asked), expected, rtol=1e-4)
    assert scorer.threshold == 0


def test_a_side_without_spread_gives_finite_scores() -> None:
    known = np.array([[1.0]] * 5 + [[0.0], [3.0]], dtype=np.float32)
    scorer = GaussianRatio().fit(known, np.arange(7) < 5, np.random.default_rng(0))
    score = scorer.score(np.array([[1.0], [2.0]], dtype=np.float32))
    assert np.isfinite(score).all()
    assert score[0] > 0 > score[1]


@pytest.mark.parametrize(("spread", "low", "high"), [(3.0, 0.7, 0.9), (1.0, 0.4, 0.6)])
def test_lengths_that_vary_otherwise_among_members_are_found(spread: float, low: float, high: float) -> None:
    values, split = embeddings(4, spread=spread)
    attack = AttackChoice("lpla").build(0)
    cell = fit_and_score(attack, split, Evidence({EMBEDDING.name: values}), ControlEvidence(), KnownSamples(), 0)
    assert low < auc(*cell.scored.sides) < high
    assert cell.unreadable == ""


@pytest.mark.parametrize("name", ["lpla", "embedding-norm"])
def test_an_endpoint_that_normalises_leaves_nothing_to_read_and_is_told_so(name: str) -> None:
    values, split = embeddings(5, spread=3.0)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    attack = AttackChoice(name).build(0)
    cell = fit_and_score(attack, split, Evidence({EMBEDDING.name: unit}), ControlEvidence(), KnownSamples(), 0)
    assert cell.unreadable.startswith("the endpoint normalises its embeddings: their L2 norm is the same")


def test_a_number_of_views_below_none_is_refused() -> None:
    with pytest.raises(UsageError, match="views"):
        AttackChoice("lpla", {"views": -1}).build(0)
