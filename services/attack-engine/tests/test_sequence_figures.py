"""What the report shows of metric sequences, against plain loops."""

from itertools import pairwise

import numpy as np
import pytest

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores, ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import ShadowModel
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores, read_cell, write_cell
from latentprint.attack_engine.evidence.sequence_figures import sequence_figures
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.statistics.figures import Correlations, Curves, NamedHistogram
from latentprint.core.splits import EVALUATION, KNOWN, Split

SAMPLES, STEPS = 40, 6
NAMES = ("loss", "entropy")
MEMBER = np.arange(SAMPLES) % 2 == 0
ROWS = np.arange(SAMPLES) >= 4


@pytest.fixture
def sequence() -> np.ndarray:
    rng = np.random.default_rng(3)
    drawn = rng.random((SAMPLES, STEPS, 2), dtype=np.float32)
    drawn[MEMBER, :, 1] = drawn[MEMBER, :, 0] ** 2
    return drawn


def figures(sequence: np.ndarray, kind: type, names: tuple[str, ...] = NAMES, *, model: bool = True) -> list:
    """Those of one kind, of the shown samples."""
    drawn = sequence_figures(sequence[ROWS], names, MEMBER[ROWS], ends_with_model=model)
    return [figure for figure in drawn if isinstance(figure, kind)]


def test_correlations_are_means_over_the_shown_samples_of_a_side(sequence: np.ndarray) -> None:
    (found,) = figures(sequence, Correlations)
    for side, matrix in ((True, found.members), (False, found.non_members)):
        each = [np.corrcoef(sequence[i].T) for i in range(SAMPLES) if ROWS[i] and MEMBER[i] == side]
        np.testing.assert_allclose(matrix, np.mean(each, axis=0), atol=1e-6)
    assert found.members[0][1] > 0.9 > found.non_members[0][1]
    assert found.names == NAMES


def test_sequences_that_never_vary_correlate_with_nothing(sequence: np.ndarray) -> None:
    sequence[:, :, 1] = 1.0
    matrix = figures(sequence, Correlations)[0].members
    assert matrix[0][0] == pytest.approx(1.0)
    assert matrix[0][1] is matrix[1][0] is matrix[1][1] is None


def test_histograms_hold_every_shown_sample_and_leave_the_model_itself_out(sequence: np.ndarray) -> None:
    sequence[:, -1] = 1000.0  # the model's own answer is no snapshot
    found = figures(sequence, NamedHistogram)
    titles = ["Fluctuation of loss", "Fluctuation of entropy", "Decline of loss", "Decline of entropy"]
    assert [one.title for one in found] == titles
    for one in found:
        assert sum(one.histogram.members) == np.count_nonzero(ROWS & MEMBER)
        assert sum(one.histogram.non_members) == np.count_nonzero(ROWS & ~MEMBER)
        assert max(one.histogram.edges) < STEPS
    snapshots = sequence[ROWS, :-1, 0].astype(float)
    total = [sum(abs(b - a) for a, b in pairwise(row)) for row in snapshots]
    assert found[0].histogram.edges[0] == pytest.approx(min(total))
    assert found[0].histogram.edges[-1] == pytest.approx(np.quantile(total, 0.99))
    rate = (snapshots[:, 0] - snapshots[:, -1]) / (STEPS - 2)
    assert found[2].histogram.edges[0] == pytest.approx(rate.min())


def test_without_posteriors_every_step_is_a_snapshot(sequence: np.ndarray) -> None:
    found = figures(sequence, NamedHistogram, ("cosine", "l2"), model=False)
    assert [one.title for one in found] == ["Fluctuation of cosine", "Fluctuation of l2"]
    total = np.abs(np.diff(sequence[ROWS, :, 0].astype(float), axis=1)).sum(axis=1)
    assert found[0].histogram.edges[0] == pytest.approx(total.min())
    assert figures(sequence, Curves, ("cosine", "l2"), model=False)[0].x_label == "snapshot"


def test_one_snapshot_neither_fluctuates_nor_declines(sequence: np.ndarray) -> None:
    assert figures(sequence[:, :2], NamedHistogram) == []


def test_curves_are_mean_sequences_with_standard_errors(sequence: np.ndarray) -> None:
    loss, entropy = figures(sequence, Curves)
    assert (loss.title, entropy.title) == ("Sequence of loss", "Sequence of entropy")
    values = sequence[ROWS & ~MEMBER, :, 0].astype(float)
    np.testing.assert_allclose(loss.non_members, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(loss.non_members_error, values.std(axis=0, ddof=1) / np.sqrt(len(values)), rtol=1e-6)


@pytest.mark.parametrize("inference", ["attention-lstm", "mlp"])
def test_attention_is_shown_where_the_inference_model_has_it(sequence: np.ndarray, inference: str) -> None:
    choice = AttackChoice("seqmia", {"metrics": NAMES}, inference=inference, inference_options={"epochs": 1})
    attack = choice.build(0)
    held = Evidence({}, {}, np.zeros(SAMPLES, dtype=np.int64), sequence, NAMES)
    split = Split(np.arange(SAMPLES), MEMBER, np.where(ROWS, EVALUATION, KNOWN), "0" * 64, 0)
    scores = fit_and_score(attack, split, held, ControlEvidence(), ShadowModel(attack, held, MEMBER), 3)
    curves = [figure for figure in scores.figures if figure.title == "Attention over the steps"]
    assert len(curves) == (inference == "attention-lstm")
    for curve in curves:
        assert len(curve.members) == STEPS
        assert sum(curve.members) == pytest.approx(1.0, abs=1e-5)
    assert figures(sequence, Curves)[0] in scores.figures


def test_attacks_without_sequences_have_no_such_figures() -> None:
    for name in ("seqmia", "seqmia-encoder", "st", "supervisedmi"):
        reading = AttackChoice(name).build(0).reading
        assert reading.figures(Evidence({}), ROWS, MEMBER) == ()


def test_a_stored_cell_keeps_its_figures(sequence: np.ndarray, tmp_path) -> None:
    sequence[:, :, 1] = 1.0  # some correlations are undefined
    scored = Scored(np.arange(SAMPLES), MEMBER, np.linspace(0, 1, SAMPLES), 0.5)
    drawn = sequence_figures(sequence[ROWS], NAMES, MEMBER[ROWS], ends_with_model=True)
    assert {type(figure) for figure in drawn} == {Curves, Correlations, NamedHistogram}
    for name, some in (("with", drawn), ("without", ())):
        cell = AuditScores(scored, None, {}, some)
        write_cell(StoredScores(cell, Queries(1, 1, 0, 0, None, 1.0), {}), tmp_path / name)
        assert read_cell(tmp_path / name).scores.figures == some
