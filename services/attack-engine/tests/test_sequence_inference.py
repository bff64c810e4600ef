import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from latentprint.attack_engine.inference.attention_lstm import AttentionLstm, AttentionNetwork
from latentprint.attack_engine.inference.base import InferenceModel
from latentprint.attack_engine.inference.deep_sets import DeepSets
from latentprint.attack_engine.inference.transformer import SequenceTransformer, sinusoids
from latentprint.core.errors import UsageError

STEPS, CHANNELS = 8, 2
LSTM = AttentionLstm(channels=CHANNELS, hidden=16, epochs=15, batch=50)
TRANSFORMER = SequenceTransformer(channels=CHANNELS, width=16, heads=2, layers=1, epochs=15, batch=50)
MODELS = [LSTM, TRANSFORMER]


def ordered(rng: np.random.Generator, samples: int, *, plant: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [S, T * M] of random values; neighbours ascend in members and descend in others, as sets all alike."""
    member = rng.random(samples) < 0.5
    sequence = rng.normal(size=(samples, STEPS, CHANNELS))
    if plant:
        pairs = np.sort(sequence.reshape(samples, STEPS // 2, 2, CHANNELS), axis=2)
        pairs[~member] = pairs[~member][:, :, ::-1]
        sequence = pairs.reshape(sequence.shape)
    return sequence.reshape(samples, -1).astype(np.float32), member


def naive_margin(network: AttentionNetwork, x: np.ndarray) -> tuple[float, list[float]]:
    """The network on one sequence [T, M], gate by gate and step by step in float64."""
    w_in, w_state, b_in, b_state = (p.detach().double().numpy() for p in network.lstm.parameters())
    hidden = w_state.shape[1]
    h, c, states = np.zeros(hidden), np.zeros(hidden), []
    for step in x:
        gates = w_in @ step + b_in + w_state @ h + b_state
        i, f, g, o = (gates[k * hidden : (k + 1) * hidden] for k in range(4))
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        states.append(h)
    energy = [math.exp(sum(a * b for a, b in zip(states[-1], state, strict=True))) for state in states]
    weights = [e / sum(energy) for e in energy]
    context = sum(w * state for w, state in zip(weights, states, strict=True))
    weight, bias = (p.detach().double().numpy() for p in network.head.parameters())
    logits = weight @ np.concatenate([states[-1], context]) + bias
    return float(logits[1] - logits[0]), weights


def test_the_lstm_equals_its_formulas_step_by_step() -> None:
    rng = np.random.default_rng(0)
    known, member = ordered(rng, 60)
    scorer = AttentionLstm(channels=CHANNELS, hidden=5, epochs=2, batch=20).fit(known, member, rng)
    signals, _ = ordered(rng, 6)
    scores, attention = scorer.score(signals), scorer.attention(signals)
    assert attention.shape == (6, STEPS)
    for s, row in enumerate(scorer.standardise(signals)):
        margin, weights = naive_margin(scorer.network, row.reshape(STEPS, CHANNELS))
        assert scores[s] == pytest.approx(margin, abs=1e-5)
        np.testing.assert_allclose(attention[s], weights, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_sequences_are_read_as_they_are_unless_asked_otherwise(model: InferenceModel) -> None:
    known, member = ordered(np.random.default_rng(5), 40)
    known[:, 0] = 1e3 * known[:, 0] + 7
    as_they_are = model.fit(known, member, np.random.default_rng(0))
    np.testing.assert_array_equal(as_they_are.standardise(known), known.astype(np.float64))
    centred = replace(model, standardise=True).fit(known, member, np.random.default_rng(0)).standardise(known)
    np.testing.assert_allclose(centred, (known - known.mean(axis=0)) / known.std(axis=0), atol=1e-4)


def test_positions_are_the_papers_sinusoids() -> None:
    positions = sinusoids(5, 6).numpy()
    for t in range(5):
        for k in range(3):
            angle = t / 10_000 ** (2 * k / 6)
            np.testing.assert_allclose(positions[t, [k, 3 + k]], [math.sin(angle), math.cos(angle)], atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_an_order_that_no_set_model_sees_is_found(model: InferenceModel) -> None:
    rng = np.random.default_rng(1)
    known, signals = ordered(rng, 300), ordered(rng, 400)
    assert roc_auc_score(signals[1], model.fit(*known, rng).score(signals[0])) > 0.85
    as_set = DeepSets(epochs=15).fit(*known, rng).score(signals[0])
    assert abs(roc_auc_score(signals[1], as_set) - 0.5) < 0.1


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_nothing_is_found_where_no_order_is_planted(model: InferenceModel) -> None:
    aucs = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scorer = model.fit(*ordered(rng, 80, plant=False), rng)
        signals, member = ordered(rng, 400, plant=False)
        aucs.append(roc_auc_score(member, scorer.score(signals)))
    assert abs(np.mean(aucs) - 0.5) < 0.04


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_seed_alone_decides_the_scores(model: InferenceModel) -> None:
    signals, member = ordered(np.random.default_rng(2), 50)
    scores = []
    for noise in (0, 1):
        torch.manual_seed(noise)  # global state must not matter
        scores.append(model.fit(signals, member, np.random.default_rng(5)).score(signals))
    np.testing.assert_array_equal(scores[0], scores[1])
    other = model.fit(signals, member, np.random.default_rng(6)).score(signals)
    assert not np.allclose(scores[0], other)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_score_does_not_depend_on_batch_neighbours(model: InferenceModel) -> None:
    rng = np.random.default_rng(3)
    scorer = model.fit(*ordered(rng, 50), rng)
    signals, _ = ordered(rng, 2300)  # more than are scored at once
    whole = scorer.score(signals)
    for part in (slice(0, 1), slice(5, 12), slice(1990, 2010)):
        np.testing.assert_allclose(scorer.score(signals[part]), whole[part], atol=1e-5)


def test_a_signal_that_is_no_whole_number_of_steps_is_refused() -> None:
    signals, member = ordered(np.random.default_rng(4), 20)
    for model in (AttentionLstm(channels=5), SequenceTransformer(channels=5)):
        with pytest.raises(UsageError, match="16 entries is no sequence of 5 channels"):
            model.fit(signals, member, np.random.default_rng(0))
    with pytest.raises(UsageError, match="width 30 must be even and a multiple of heads 4"):
        SequenceTransformer(width=30, heads=4)
