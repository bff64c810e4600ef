"""The controls of one cell: who makes them, what they cannot change, and what there is nothing to read in."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import (
    AuditScores,
    ControlEvidence,
    fit_and_score,
    is_constant,
)
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores, read_cell, write_cell
from latentprint.attack_engine.attacks.fitting.sweeps import KNOWLEDGE, QUERIES, Swept
from latentprint.attack_engine.evidence.controls import EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.splits import EVALUATION, KNOWN, Split

SAMPLES = 160


@pytest.fixture
def attack() -> Attack:
    return AttackChoice("supervisedmi", inference="logistic").build(0)


@pytest.fixture
def split() -> Split:
    ids = np.arange(SAMPLES)
    return Split(ids, ids % 2 == 0, np.where(ids % 4 < 2, KNOWN, EVALUATION), "0" * 64, 0)


def held(values: np.ndarray) -> Evidence:
    """What supervisedmi is told."""
    (signal,) = AttackChoice("supervisedmi").build(0).signals
    return Evidence({signal.name: values})


def read(rng: np.random.Generator, shift: float, member: np.ndarray) -> Evidence:
    values = rng.normal(size=(SAMPLES, 6)).astype(np.float32)
    values[member] += shift
    return held(values)


def test_a_further_control_leaves_every_other_score_as_it_was(attack: Attack, split: Split) -> None:
    rng = np.random.default_rng(0)
    victim, twin, placebo = (read(rng, shift, split.member) for shift in (1.0, 0.0, 0.0))
    alone = fit_and_score(attack, split, victim, ControlEvidence(twin), KnownSamples(), 3)
    both = fit_and_score(attack, split, victim, ControlEvidence(twin, placebo), KnownSamples(), 3)
    assert list(alone.controls) == [UNTRAINED, EXCHANGED]
    assert list(both.controls) == [UNTRAINED, PLACEBO, EXCHANGED]
    np.testing.assert_array_equal(alone.scored.score, both.scored.score)
    for name in alone.controls:
        np.testing.assert_array_equal(alone.controls[name].score, both.controls[name].score)
    np.testing.assert_array_equal(both.controls[PLACEBO].sample_id, both.scored.sample_id)


def test_a_placebo_sees_what_a_trained_encoder_sees(attack: Attack, split: Split) -> None:
    rng = np.random.default_rng(1)
    victim, twin, placebo = (read(rng, shift, split.member) for shift in (2.0, 0.0, 2.0))
    controls = fit_and_score(attack, split, victim, ControlEvidence(twin, placebo), KnownSamples(), 3).controls
    means = {name: np.subtract(*(side.mean() for side in controls[name].sides)) for name in (UNTRAINED, PLACEBO)}
    assert means[PLACEBO] > 10 * abs(means[UNTRAINED])


def scored(rng: np.random.Generator) -> Scored:
    return Scored(np.arange(10), np.arange(10) < 5, rng.normal(size=10), 0.5)


@pytest.mark.parametrize("noise", [0.0, 5e-7])
def test_features_equal_within_rounding_are_nothing_to_read(noise: float) -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=(1, 3, 8))
    features = (one * (1 + noise * rng.uniform(-1, 1, (10, 3, 8)))).astype(np.float32)
    assert is_constant(features, scored(rng))


def test_one_feature_that_varies_is_something_to_read() -> None:
    rng = np.random.default_rng(3)
    features = np.ones((10, 1, 8), dtype=np.float32)
    features[:, 0, 4] += rng.normal(0, 0.01, 10)
    assert not is_constant(features, scored(rng))
    assert is_constant(features, Scored(np.arange(10), np.arange(10) < 5, np.zeros(10), 0.5))


def test_an_encoder_that_answers_one_thing_gives_a_constant_cell_which_is_kept_as_such(
    attack: Attack, split: Split, tmp_path: object
) -> None:
    constant = held(np.full((SAMPLES, 6), 0.3, dtype=np.float32))
    cell: AuditScores = fit_and_score(attack, split, constant, ControlEvidence(), KnownSamples(), 3)
    assert cell.unreadable
    write_cell(StoredScores(cell, Queries(0, 0, 0, 0, None, 0.0), {}), tmp_path)
    assert read_cell(tmp_path).scores.unreadable == cell.unreadable


def test_a_kept_cell_has_the_points_of_its_sweeps_whole_numbers_and_shares_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    sweeps = (Swept(KNOWLEDGE, 0.5, scored(rng)), Swept(QUERIES, 5, scored(rng)))
    write_cell(
        StoredScores(AuditScores(scored(rng), None, {}, sweeps=sweeps), Queries(0, 0, 0, 0, None, 0.0), {}), tmp_path
    )
    kept = read_cell(tmp_path).scores.sweeps
    assert [(one.name, one.x) for one in kept] == [(KNOWLEDGE, 0.5), (QUERIES, 5)]
    for one, other in zip(kept, sweeps, strict=True):
        np.testing.assert_array_equal(one.scored.score, other.scored.score)
