"""What the report shows of metric sequences, against plain loops."""

from itertools import pairwise

import numpy as np
import pytest

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.fitting.cell import Cell
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.fitting.sequence_figures import (
    attention_curves,
    sequence_curves,
    sequence_figures,
)
from latentprint.attack_engine.audits.store import StoredCell, read_cell, write_cell
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.attention_lstm import AttentionLstm
from latentprint.attack_engine.inference.mlp import Mlp

SAMPLES, STEPS = 40, 6
NAMES = ("loss", "entropy")
MEMBER = np.arange(SAMPLES) % 2 == 0
ROWS = np.arange(SAMPLES) >= 4


@pytest.fixture
def evidence() -> Evidence:
    rng = np.random.default_rng(3)
    sequence = rng.random((SAMPLES, STEPS, 2), dtype=np.float32)
    sequence[MEMBER, :, 1] = sequence[MEMBER, :, 0] ** 2
    return Evidence(np.zeros(SAMPLES, np.int64), np.full((SAMPLES, 2), 0.5, np.float32), sequence, NAMES)


def test_correlations_are_means_over_the_shown_samples_of_a_side(evidence: Evidence) -> None:
    found = sequence_figures(evidence, ROWS, MEMBER)
    for side, matrix in ((True, found.correlations.members), (False, found.correlations.non_members)):
        each = [np.corrcoef(evidence.sequence[i].T) for i in range(SAMPLES) if ROWS[i] and MEMBER[i] == side]
        np.testing.assert_allclose(matrix, np.mean(each, axis=0), atol=1e-6)
    assert found.correlations.members[0][1] > 0.9 > found.correlations.non_members[0][1]
    assert found.correlations.names == NAMES


def test_sequences_that_never_vary_correlate_with_nothing(evidence: Evidence) -> None:
    evidence.sequence[:, :, 1] = 1.0
    matrix = sequence_figures(evidence, ROWS, MEMBER).correlations.members
    assert matrix[0][0] == pytest.approx(1.0)
    assert matrix[0][1] is matrix[1][0] is matrix[1][1] is None


def test_histograms_hold_every_shown_sample_and_leave_the_model_itself_out(evidence: Evidence) -> None:
    evidence.sequence[:, -1] = 1000.0  # the model's own answer is no snapshot
    found = sequence_figures(evidence, ROWS, MEMBER).histograms
    titles = ["Fluctuation of loss", "Fluctuation of entropy", "Decline of loss", "Decline of entropy"]
    assert [one.title for one in found] == titles
    for one in found:
        assert sum(one.histogram.members) == np.count_nonzero(ROWS & MEMBER)
        assert sum(one.histogram.non_members) == np.count_nonzero(ROWS & ~MEMBER)
        assert max(one.histogram.edges) < STEPS
    snapshots = evidence.sequence[ROWS, :-1, 0].astype(float)
    total = [sum(abs(b - a) for a, b in pairwise(row)) for row in snapshots]
    assert found[0].histogram.edges[0] == pytest.approx(min(total))
    assert found[0].histogram.edges[-1] == pytest.approx(np.quantile(total, 0.99))
    rate = (snapshots[:, 0] - snapshots[:, -1]) / (STEPS - 2)
    assert found[2].histogram.edges[0] == pytest.approx(rate.min())


def test_without_posteriors_every_step_is_a_snapshot(evidence: Evidence) -> None:
    disagreement = Evidence(evidence.label, None, evidence.sequence, ("cosine", "l2"))
    found = sequence_figures(disagreement, ROWS, MEMBER).histograms
    assert [one.title for one in found] == ["Fluctuation of cosine", "Fluctuation of l2"]
    total = np.abs(np.diff(evidence.sequence[ROWS, :, 0].astype(float), axis=1)).sum(axis=1)
    assert found[0].histogram.edges[0] == pytest.approx(total.min())
    assert sequence_curves(disagreement, ROWS, MEMBER)[0].x_label == "snapshot"


def test_one_snapshot_neither_fluctuates_nor_declines(evidence: Evidence) -> None:
    short = Evidence(evidence.label, evidence.posterior, evidence.sequence[:, :2], NAMES)
    assert sequence_figures(short, ROWS, MEMBER).histograms == ()


def test_curves_are_mean_sequences_with_standard_errors(evidence: Evidence) -> None:
    loss, entropy = sequence_curves(evidence, ROWS, MEMBER)
    assert (loss.title, entropy.title) == ("Sequence of loss", "Sequence of entropy")
    values = evidence.sequence[ROWS & ~MEMBER, :, 0].astype(float)
    np.testing.assert_allclose(loss.non_members, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(loss.non_members_error, values.std(axis=0, ddof=1) / np.sqrt(len(values)), rtol=1e-6)


def test_attention_is_shown_where_the_inference_model_has_it(evidence: Evidence) -> None:
    rng = np.random.default_rng(0)
    features = evidence.sequence.reshape(SAMPLES, -1)
    scorer = AttentionLstm(channels=2, hidden=4, epochs=1, batch=8).fit(features, MEMBER, rng)
    (curve,) = attention_curves(scorer, features, MEMBER)
    np.testing.assert_allclose(curve.members, scorer.attention(features)[MEMBER].mean(axis=0), atol=1e-6)
    assert sum(curve.members) == pytest.approx(1.0, abs=1e-5)
    assert attention_curves(Mlp(hidden=(4,), epochs=1).fit(features, MEMBER, rng), features, MEMBER) == ()


def test_attacks_without_sequences_have_no_such_figures(evidence: Evidence) -> None:
    for nothing in (None, Evidence(evidence.label, evidence.posterior)):
        assert sequence_figures(nothing, ROWS, MEMBER) is None
        assert sequence_curves(nothing, ROWS, MEMBER) == ()


def test_a_stored_cell_keeps_its_figures(evidence: Evidence, tmp_path) -> None:
    evidence.sequence[:, :, 1] = 1.0  # some correlations are undefined
    score = np.linspace(0, 1, SAMPLES)
    scored = Scored(np.arange(SAMPLES), MEMBER, score, 0.5)
    curves, figures = sequence_curves(evidence, ROWS, MEMBER), sequence_figures(evidence, ROWS, MEMBER)
    for name, one in (("with", figures), ("without", None)):
        cell = Cell(scored, None, {}, curves, sequences=one)
        write_cell(StoredCell(cell, Queries(1, 1, 0, 0, None, 1.0), {}), tmp_path / name)
        back = read_cell(tmp_path / name).cell
        assert back.sequences == one
        assert back.curves == curves
