"""What is known of membership: every form of it is fitted and scored in one way."""

import numpy as np
import pytest

from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores, ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import (
    Knowledge,
    KnownSamples,
    NoKnowledge,
    ShadowModel,
    knowledge_of,
)
from latentprint.attack_engine.attacks.fitting.scoring import score_partial
from latentprint.attack_engine.attacks.fitting.sweeps import KNOWLEDGE, SweepChoice
from latentprint.attack_engine.evidence.controls import EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.errors import DataError
from latentprint.core.splits import EVALUATION, KNOWN, Split

SAMPLES = 160
IDS = np.arange(SAMPLES)
SPLIT = Split(IDS, IDS % 2 == 0, np.where(IDS % 4 < 2, KNOWN, EVALUATION), "0" * 64, 0)


@pytest.fixture
def attack() -> Attack:
    return AttackChoice("supervisedmi", inference_options={"epochs": 3}).build(0)


def held(attack: Attack, shift: float, seed: int) -> Evidence:
    values = np.random.default_rng(seed).normal(size=(SAMPLES, 6)).astype(np.float32)
    values[SPLIT.member] += shift
    return Evidence({attack.signals[0].name: values})


def score(attack: Attack, knowledge: Knowledge, split: Split = SPLIT, **further: object) -> AuditScores:
    beside = ControlEvidence(held(attack, 0.0, 1), held(attack, 0.5, 2))
    return fit_and_score(attack, split, held(attack, 1.0, 0), beside, knowledge, 5, **further)


def test_a_shadow_model_s_samples_teach_what_the_same_known_samples_teach(attack: Attack) -> None:
    victim, known = held(attack, 1.0, 0), SPLIT.role == KNOWN
    taught = {name: values[known] for name, values in victim.values.items()}
    by_known = score(attack, KnownSamples())
    by_shadow = score(attack, ShadowModel(attack, Evidence(taught), SPLIT.member[known]))
    np.testing.assert_array_equal(by_known.scored.score, by_shadow.scored.score)
    assert by_known.p_values is not None
    assert by_shadow.p_values is not None


def test_without_known_samples_of_the_victim_a_shadow_model_calibrates_nothing(attack: Attack) -> None:
    unknown = Split(IDS, SPLIT.member, np.full(SAMPLES, EVALUATION), "0" * 64, 0)
    found = score(attack, ShadowModel(attack, held(attack, 1.0, 3), SPLIT.member), unknown)
    assert found.p_values is None
    assert found.known is None


def test_a_shadow_model_s_scores_are_calibrated_on_the_known_non_members_that_it_never_saw(attack: Attack) -> None:
    found = score(attack, ShadowModel(attack, held(attack, 1.0, 3), SPLIT.member))
    assert found.known is not None
    _, others = found.known.sides
    expected = [(1 + np.count_nonzero(others >= one)) / (1 + len(others)) for one in found.scored.score]
    np.testing.assert_allclose(found.p_values, expected)


def test_known_samples_are_scored_as_without_any_control(attack: Attack) -> None:
    (rng, *_) = KnownSamples().streams(5).values()
    alone = score_partial(attack.over_draws, attack.features(held(attack, 1.0, 0)), SPLIT, rng)
    np.testing.assert_array_equal(score(attack, KnownSamples()).scored.score, alone.score)


def test_a_shadow_model_makes_one_scorer_for_the_victim_and_every_control(attack: Attack) -> None:
    knowledge = ShadowModel(attack, held(attack, 1.0, 3), SPLIT.member)
    found = score(attack, knowledge)
    assert list(found.controls) == [UNTRAINED, PLACEBO, EXCHANGED]
    swapped = fit_and_score(attack, SPLIT, held(attack, 0.0, 1), ControlEvidence(held(attack, 1.0, 0)), knowledge, 5)
    np.testing.assert_array_equal(swapped.scored.score, found.controls[UNTRAINED].score)
    np.testing.assert_array_equal(swapped.controls[UNTRAINED].score, found.scored.score)


def test_a_decision_known_beforehand_needs_no_known_sample(attack: Attack) -> None:
    mean = AttackChoice("supervisedmi", inference="fixed", inference_options={"threshold": 0.5}).build(0)
    unknown = Split(IDS, SPLIT.member, np.full(SAMPLES, EVALUATION), "0" * 64, 0)
    found = score(mean, NoKnowledge(), unknown)
    np.testing.assert_allclose(
        found.scored.score, held(attack, 1.0, 0).values[mean.signals[0].name].mean(axis=1), atol=1e-6
    )
    assert found.scored.threshold == 0.5
    with pytest.raises(DataError, match="0 known"):
        score(mean, KnownSamples(), unknown)


def test_what_an_attack_goes_by_follows_from_it_and_from_what_there_is(attack: Attack) -> None:
    shadow = ShadowModel(attack, held(attack, 1.0, 3), SPLIT.member)
    online = AttackChoice("lira-online").build(0)
    assert knowledge_of(attack, None) == KnownSamples()
    assert knowledge_of(attack, shadow) is shadow
    assert knowledge_of(online, None) == knowledge_of(online, shadow) == NoKnowledge()


def test_less_is_tried_where_samples_of_the_victim_are_known(attack: Attack) -> None:
    sweeps = SweepChoice((0.25, 0.5))
    assert [(one.name, one.x) for one in score(attack, KnownSamples(), sweeps=sweeps).sweeps] == [
        (KNOWLEDGE, 0.25),
        (KNOWLEDGE, 0.5),
    ]
    assert score(attack, ShadowModel(attack, held(attack, 1.0, 3), SPLIT.member), sweeps=sweeps).sweeps == ()


def test_every_form_draws_for_the_same_purposes_each_from_a_stream_of_its_own() -> None:
    drawn = {}
    for knowledge in (KnownSamples(), NoKnowledge()):
        streams = knowledge.streams(0)
        drawn[type(knowledge)] = set(streams)
        assert len({stream.integers(2**62) for stream in streams.values()}) == len(streams)
    assert drawn[KnownSamples] == drawn[NoKnowledge]
