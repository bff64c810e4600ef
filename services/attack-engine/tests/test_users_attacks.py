"""Attacks on users: a planted compactness is found and no other, and the same number of images is read of everybody."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples, ShadowModel
from latentprint.attack_engine.attacks.fitting.scoring import score_partial
from latentprint.attack_engine.attacks.users.compactness import Compactness, centre_distance, pairwise_distance
from latentprint.attack_engine.attacks.users.encodermi_vote import EncoderMIVote
from latentprint.attack_engine.attacks.users.unit_reading import SHARE, SHARES
from latentprint.attack_engine.evidence.controls import EXCHANGED, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.majority_vote import MajorityVote
from latentprint.attack_engine.inference.mlp import MlpClassifier
from latentprint.attack_engine.inference.over_draws import OverDraws
from latentprint.attack_engine.models.choice import DrawnSamples, VictimChoice
from latentprint.attack_engine.models.job import ModelStore
from latentprint.attack_engine.models.training import TrainingJob
from latentprint.attack_engine.runs.plan import require_units
from latentprint.attack_engine.runs.threat_model import AuditedModel
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import EVALUATION, KNOWN, Split, Units

EACH, DIM = 6, 8  # images of every kind a user, and entries of an embedding
COMPACT, CLOSER = 0.75, 0.5  # spread of a training user's other images, and of those that were trained on


def users_split(members: int, non_members: int, *, trained: bool = True) -> Split:
    """Users with `EACH` other images, and members with as many that were trained on; in a shuffled order."""
    of_members = np.repeat(np.arange(members), 2 * EACH if trained else EACH)
    unit = np.concatenate([of_members, np.repeat(np.arange(members, members + non_members), EACH)])
    inside = np.zeros(len(unit), dtype=bool)
    inside[: len(of_members)] = trained & (np.arange(len(of_members)) % (2 * EACH) < EACH)
    order = np.random.default_rng(5).permutation(len(unit))
    unit, inside = unit[order] + 1000, inside[order]
    role = np.where(unit % 2 == 0, KNOWN, EVALUATION)
    return Split(np.arange(len(unit)), unit < 1000 + members, role, "digits", 0, units=Units(unit, inside))


SPLIT = users_split(80, 80)


def embeddings(split: Split, seed: int, *, compact: float = COMPACT, closer: float = CLOSER) -> Evidence:
    """Every user somewhere, their images around it, those of training users closer."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(2000, DIM))[split.unit]
    spread = np.where(split.trained, closer, np.where(split.member, compact, 1.0))
    values = centre + spread[:, None] * rng.normal(size=(len(spread), DIM))
    return Evidence({"answer-embedding": values.astype(np.float32)}, units=split.units)


def built(**options: object) -> Attack:
    return AttackChoice("compactness", options, "logistic").build(0)


def test_distances_are_the_plain_ones() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, DIM)).astype(np.float32)
    for user, one in enumerate(values):
        centre = one.mean(axis=0)
        assert centre_distance(values)[user] == pytest.approx(np.mean([np.linalg.norm(x - centre) for x in one]))
        pairs = [np.linalg.norm(one[i] - one[j]) for i in range(4) for j in range(i)]
        assert pairwise_distance(values)[user] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("share", "trained"), [(0.0, 0), (0.4, 2), (1.0, 5)])
def test_of_every_user_as_many_images_are_read_and_of_members_the_share_that_was_trained_on(
    share: float, trained: int
) -> None:
    reading = Compactness(images=5, share=share)
    rows = reading.probes(Units(SPLIT.unit, SPLIT.trained))
    assert rows.shape == (160, 5)
    assert (SPLIT.unit[rows] == np.unique(SPLIT.unit)[:, None]).all()
    members = SPLIT.by_unit().member
    assert (SPLIT.trained[rows].sum(axis=1) == np.where(members, trained, 0)).all()
    fewer = replace(reading, images=2, share=share).probes(Units(SPLIT.unit, SPLIT.trained))
    assert all(set(few) <= set(many) for few, many in zip(fewer, rows, strict=True)) or share == 0.4


@pytest.mark.parametrize("distances", ["both", "centre", "pairwise"])
def test_compact_users_are_found_with_either_distance(distances: str) -> None:
    attack = built(distances=distances)
    scores = fit_and_score(attack, SPLIT, embeddings(SPLIT, 0), ControlEvidence(), KnownSamples(), 0)
    assert estimate_auc(*scores.scored.sides).value > 0.75
    assert len(scores.scored.sample_id) == 80
    assert set(scores.scored.sample_id) == set(SPLIT.by_unit().ids(role=EVALUATION))


def test_the_more_training_images_the_surer_and_the_controls_find_nothing() -> None:
    untrained = embeddings(SPLIT, 1, compact=1.0, closer=1.0)
    scores = fit_and_score(built(), SPLIT, embeddings(SPLIT, 0), ControlEvidence(untrained), KnownSamples(), 0)
    by_share = {swept.x: estimate_auc(*swept.scored.sides).value for swept in scores.sweeps if swept.name == SHARE}
    assert list(by_share) == list(SHARES)
    assert by_share[0.0] == estimate_auc(*scores.scored.sides).value < by_share[1.0]
    for name in (UNTRAINED, EXCHANGED):
        assert estimate_auc(*scores.controls[name].sides).interval.contains(0.5)


def test_a_shadow_model_teaches_what_compact_is() -> None:
    shadow_split = users_split(60, 60)
    attack = AttackChoice("compactness").build(0)
    shadow = ShadowModel(attack, embeddings(shadow_split, 7), attack.rows(shadow_split).member)
    scores = fit_and_score(attack, SPLIT, embeddings(SPLIT, 0), ControlEvidence(), shadow, 0)
    assert estimate_auc(*scores.scored.sides).value > 0.75


def test_chance_lies_inside_the_interval_where_users_are_alike(
    assert_chance: Callable[[Sequence[Estimate], int], None],
) -> None:
    found = []
    attack = built()
    for seed in range(20):
        held = embeddings(SPLIT, 100 + seed, compact=1.0, closer=1.0)
        rng = np.random.default_rng(seed)
        scored = score_partial(attack.over_draws, attack.features(held), attack.rows(SPLIT), rng)
        found.append(estimate_auc(*scored.sides))
    assert_chance(found, 1)


def test_every_image_of_a_user_votes() -> None:
    rng = np.random.default_rng(0)
    member = np.arange(60) < 30
    draws = (rng.normal(size=(60, 5, 3)) + member[:, None, None]).astype(np.float32)
    scorer = OverDraws(MajorityVote(MlpClassifier(hidden=(16,), epochs=30))).fit(draws, member, rng)
    shares = scorer.score(draws)
    assert set(np.round(shares * 5, 6)) <= set(range(6))
    assert (scorer.decide(draws) == (shares >= 0.5)).all()
    assert estimate_auc(shares[member], shares[~member]).value > 0.85


def test_encodermi_reads_a_draw_of_every_image() -> None:
    reading = EncoderMIVote(images=4, views=3)
    values = np.random.default_rng(0).uniform(size=(len(SPLIT.sample_id), 3)).astype(np.float32)
    features = reading.features(Evidence({"encodermi": values}, units=SPLIT.units))
    assert features.shape == (160, 4, 3)
    assert (np.diff(features, axis=2) <= 0).all()


def test_samples_are_no_users_and_users_no_samples() -> None:
    samples = replace(SPLIT, units=None)
    with pytest.raises(DataError, match="compactness audits users, and the split does not say whose"):
        built().rows(samples)
    with pytest.raises(DataError, match="belong to 160 units"):
        fit_and_score(
            AttackChoice("embedding-norm").build(0), SPLIT, embeddings(SPLIT, 0), ControlEvidence(), KnownSamples(), 0
        )


def test_a_user_with_too_few_images_is_named() -> None:
    units = Units(SPLIT.unit, SPLIT.trained)
    Compactness(images=EACH).require_units(units, str)
    with pytest.raises(DataError, match=r"The user #1000 has 12 images, 6 of them trained on, and so do 159 further"):
        Compactness(images=EACH + 1).require_units(units, lambda unit: f"#{unit}")
    with pytest.raises(UsageError, match="at least 2"):
        Compactness(images=1)


def test_users_with_too_few_images_are_refused_before_anything_is_trained_those_of_a_shadow_model_too(
    tmp_path: Path,
) -> None:
    enough, digits = built(images=EACH), DatasetSpec("digits")
    model = AuditedModel("v", "k", DrawnSamples(digits, SPLIT, tmp_path), 0)
    require_units([enough], [model])
    with pytest.raises(DataError, match="The user 1000 has 12 images"):
        require_units([built(images=EACH + 1)], [model])
    kept = (SPLIT.unit != 1000) | SPLIT.trained
    units = Units(SPLIT.unit[kept], SPLIT.trained[kept])
    fewer = replace(
        SPLIT, sample_id=SPLIT.sample_id[kept], member=SPLIT.member[kept], role=SPLIT.role[kept], units=units
    )
    samples = DrawnSamples(digits, fewer, tmp_path)
    shadow = TrainingJob(VictimChoice("shadow", "triplet", "", 1), samples, 0, ModelStore(tmp_path))
    with pytest.raises(DataError, match="The user 1000 has 6 images, 6 of them trained on"):
        require_units([enough], [replace(model, shadow=shadow)])
    with pytest.raises(DataError, match="does not say whose"):
        require_units([enough], [replace(model, samples=replace(samples, split=replace(SPLIT, units=None)))])
