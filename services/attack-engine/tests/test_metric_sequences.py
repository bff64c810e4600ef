import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.evidence.posterior_metrics import METRICS
from latentprint.attack_engine.evidence.sequence_analyses import (
    cumulative_fluctuation,
    decline_rate,
    metric_correlations,
)
from latentprint.attack_engine.evidence.sequences import chosen_metrics, first_snapshots, shuffled_steps
from latentprint.core.errors import UsageError


def sequences(seed: int = 0, samples: int = 4, steps: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(samples, steps, len(METRICS))).astype(np.float32)


def test_steps_are_shuffled_alike_in_all_samples_and_metrics() -> None:
    own, other = sequences(0), sequences(1, samples=9)
    shuffled = shuffled_steps(own, 3)
    order = [int(np.flatnonzero(own[0, :, 0] == value).item()) for value in shuffled[0, :, 0]]
    assert sorted(order) == list(range(7))
    assert order != list(range(7))
    np.testing.assert_array_equal(shuffled, own[:, order])
    np.testing.assert_array_equal(shuffled_steps(other, 3), other[:, order])
    assert not np.array_equal(shuffled_steps(own, 4), shuffled)


def test_metrics_are_chosen_by_name_in_the_order_named() -> None:
    own = sequences()
    np.testing.assert_array_equal(chosen_metrics(own, METRICS, ["entropy", "loss"]), own[..., [3, 0]])
    with pytest.raises(UsageError, match=r"Unknown metric 'entropi'.*Did you mean 'entropy'"):
        chosen_metrics(own, METRICS, ["entropi"])
    for wrong in ([], ["loss", "loss"]):
        with pytest.raises(UsageError, match="Name at least one metric, each once"):
            chosen_metrics(own, METRICS, wrong)


def test_fewer_snapshots_keep_the_original_last() -> None:
    own = sequences()
    np.testing.assert_array_equal(first_snapshots(own, 2), own[:, [0, 1, 6]])
    np.testing.assert_array_equal(first_snapshots(own, 6), own)
    for wrong in (0, 7):
        with pytest.raises(UsageError, match=f"between 1 and 6, which the sequences have, not {wrong}"):
            first_snapshots(own, wrong)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), constant=st.booleans())
def test_correlations_equal_numpys_pair_by_pair(seed: int, constant: bool) -> None:
    own = sequences(seed) * 1e-3 + 5
    if constant:
        own[1, :, 2] = 0.1
        own[:, :, 4] = 0.7
    found = metric_correlations(own)
    for i in range(5):
        for j in range(5):
            pairs = [
                np.corrcoef(s[:, i].astype(np.float64), s[:, j].astype(np.float64))[0, 1]
                for s in own
                if len(set(s[:, i])) > 1 and len(set(s[:, j])) > 1
            ]
            assert found.left_out[i, j] == len(own) - len(pairs)
            expected = np.mean(pairs) if pairs else np.nan
            np.testing.assert_allclose(found.mean[i, j], expected, atol=1e-10)


def test_fluctuation_and_decline_equal_their_sums() -> None:
    own = sequences()[..., 0]
    for s, x in enumerate(own.astype(np.float64)):
        expected = sum(abs(x[t + 1] - x[t]) for t in range(len(x) - 1))
        assert cumulative_fluctuation(own)[s] == pytest.approx(expected, abs=1e-10)
        assert decline_rate(own, 1, 5)[s] == pytest.approx((x[1] - x[5]) / 4, abs=1e-10)
    for wrong in ((3, 3), (-1, 2), (0, 7)):
        with pytest.raises(UsageError, match="0 <= first < last < 7"):
            decline_rate(own, *wrong)
