import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.inference import INFERENCE
from latentprint.attack_engine.inference.base import InferenceModel, Standardiser
from latentprint.attack_engine.inference.deep_sets import DeepSets
from latentprint.attack_engine.inference.logistic import Logistic
from latentprint.attack_engine.inference.mlp import MlpClassifier
from latentprint.attack_engine.inference.threshold import MeanThreshold, best_threshold
from latentprint.attack_engine.inference.training import balanced_batches

MODELS = [Logistic(), MlpClassifier(), MlpClassifier(hidden=(256, 256)), DeepSets(), MeanThreshold()]


def planted(rng: np.random.Generator, members: int, others: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    member = np.arange(members + others) < members
    signals = rng.normal(size=(members + others, 20)) * 1e-3 + 7
    signals[member, :5] += shift * 1e-3
    return signals.astype(np.float32), member


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_planted_signal_is_found_whatever_its_scale(model: InferenceModel) -> None:
    rng = np.random.default_rng(0)
    scorer = model.fit(*planted(rng, 200, 100, 0.7), rng)
    signals, member = planted(rng, 500, 500, 0.7)
    scores = scorer.score(signals)
    order_blind = isinstance(model, DeepSets | MeanThreshold)  # sees a fifth of a deviation in the mean: AUC 0.71
    assert roc_auc_score(member, scores) > (0.66 if order_blind else 0.75)
    decided = scores > scorer.threshold
    assert decided[member].mean() - decided[~member].mean() > 0.2


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_nothing_is_found_where_nothing_is_planted(model: InferenceModel) -> None:
    aucs = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scorer = model.fit(*planted(rng, 60, 60, 0.0), rng)
        signals, member = planted(rng, 200, 200, 0.0)
        aucs.append(roc_auc_score(member, scorer.score(signals)))
    assert abs(np.mean(aucs) - 0.5) < 0.04


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_same_seed_gives_the_same_scores(model: InferenceModel) -> None:
    signals, member = planted(np.random.default_rng(1), 60, 40, 0.5)
    first, second = (model.fit(signals, member, np.random.default_rng(5)).score(signals) for _ in range(2))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_standardisation_uses_the_known_samples_and_survives_a_constant_entry() -> None:
    known = np.array([[1, 5], [3, 5]], dtype=np.float32)
    standardise = Standardiser.of(known)
    np.testing.assert_allclose(standardise(known), [[-1, 0], [1, 0]])
    np.testing.assert_allclose(standardise(np.array([[2, 6]], dtype=np.float32)), [[0, 1]])


def test_batches_are_balanced_and_pass_the_larger_side_once() -> None:
    member = np.array([True] * 30 + [False] * 7)
    batches = list(balanced_batches(member, 10, np.random.default_rng(0)))
    assert all(member[rows].sum() == (~member[rows]).sum() for rows in batches)
    drawn = np.concatenate(batches)
    assert sorted(drawn[member[drawn]]) == list(range(30))
    assert set(drawn[~member[drawn]]) == set(range(30, 37))


def test_a_set_network_is_blind_to_the_order_of_its_set() -> None:
    rng = np.random.default_rng(0)
    scorer = DeepSets(epochs=3).fit(*planted(rng, 40, 40, 1.0), rng)
    signals, _ = planted(rng, 30, 30, 1.0)
    np.testing.assert_allclose(scorer.score(signals), scorer.score(signals[:, rng.permutation(20)]), atol=1e-5)


def test_the_best_threshold_against_trying_all() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        scores, member = rng.integers(0, 12, size=30) / 4.0, rng.random(30) < 0.4
        member[:2] = True, False

        def balanced(threshold: float, scores: np.ndarray = scores, member: np.ndarray = member) -> float:
            called = scores >= threshold
            return float(called[member].mean() + (~called)[~member].mean())

        every = [balanced(t) for t in [*np.unique(scores), scores.max() + 1]]
        assert balanced(best_threshold(scores, member)) == pytest.approx(max(every))


def test_a_threshold_never_turns_the_sign_round() -> None:
    signals, member = planted(np.random.default_rng(0), 100, 100, 2.0)
    scorer = MeanThreshold().fit(signals, ~member, np.random.default_rng(0))
    assert roc_auc_score(member, scorer.score(signals)) > 0.8


@pytest.mark.parametrize("name", ATTACKS.names())
def test_an_attack_s_usual_inference_model_is_built_as_its_entry_says(name: str) -> None:
    definition = ATTACKS.get(name)
    model = AttackChoice(name).build(0).inference
    assert type(model) is INFERENCE.get(definition.inference_name)
    assert {key: getattr(model, key) for key in definition.inference_options} == definition.inference_options


def test_a_distillation_option_alone_leaves_the_attack_s_others_as_usual() -> None:
    reading = AttackChoice("seqmia-encoder", {"distillation": {"epochs": 3}}).build(0).reading
    assert (reading.distillation.epochs, reading.distillation.optimiser) == (3, "adamw")
