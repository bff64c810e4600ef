"""Per-sample streams: NumPy's own Philox, one for each sample, and nothing shared between them."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from latentprint.core.errors import UsageError
from latentprint.core.views.streams import uniforms


@given(
    ids=st.lists(st.integers(0, 2**62), min_size=1, max_size=6),
    seed=st.integers(0, 2**64 - 1),
    draws=st.integers(0, 9),
    purpose=st.text(max_size=5),
)
def test_each_row_belongs_to_its_id_alone(ids: list[int], seed: int, draws: int, purpose: str) -> None:
    rows = uniforms(np.array(ids), seed, (draws,), purpose)
    assert rows.shape == (len(ids), draws)
    for sample_id, row in zip(ids, rows, strict=True):
        longer = uniforms(np.array([sample_id]), seed, (2, draws), purpose)
        np.testing.assert_array_equal(row, longer[0, 0])


def test_a_row_is_numpys_philox_with_that_key() -> None:
    rows = uniforms(np.array([4, 11]), 3, (50,), "x")
    upper = np.frombuffer(hashlib.sha256(b"x").digest()[:16], dtype="<u8")
    bits = np.random.Philox(key=np.array([3, 11], np.uint64), counter=np.array([0, 0, *upper], np.uint64))
    np.testing.assert_array_equal(rows[1], np.random.Generator(bits).random(50))


def test_ids_seeds_and_purposes_give_unrelated_uniform_draws() -> None:
    ids = np.arange(20_000)
    tables = [uniforms(ids, seed, (5,), purpose) for seed in (0, 1) for purpose in ("a", "b")]
    for table in tables:
        assert stats.kstest(table.ravel(), "uniform").pvalue > 0.001
        assert stats.kstest(table[:, 0], "uniform").pvalue > 0.001  # the first draw over neighbouring ids
    flat = np.stack([table.ravel() for table in tables])
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.015
    assert abs(np.corrcoef(tables[0][:-1].ravel(), tables[0][1:].ravel())[0, 1]) < 0.015


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="seed"):
        uniforms(np.arange(2), seed, (1,))
