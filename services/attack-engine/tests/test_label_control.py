"""What labels alone tell, as the control of attacks that read them."""

import numpy as np

from latentprint.attack_engine.attacks.fitting.label_control import label_scores
from latentprint.attack_engine.statistics.auc import auc, estimate_auc
from latentprint.core.splits import EVALUATION, KNOWN, Split


def drawn(rng: np.random.Generator, *, known: bool, skew: float, samples: int = 200) -> tuple[Split, np.ndarray]:
    """Members whose classes lean towards the first by `skew`, and their labels."""
    member = np.arange(2 * samples) < samples
    chances = {True: np.array([0.25 + skew, 0.25, 0.25, 0.25 - skew]), False: np.full(4, 0.25)}
    label = np.array([rng.choice(4, p=chances[bool(side)]) for side in member])
    role = np.where(rng.random(2 * samples) < 0.5, KNOWN, EVALUATION) if known else np.full(2 * samples, EVALUATION)
    return Split(np.arange(2 * samples) * 3, member, role.astype(np.str_), "0" * 64, 0), label


def test_labels_that_differ_between_the_sides_are_seen() -> None:
    rng = np.random.default_rng(0)
    for known in (True, False):
        split, label = drawn(rng, known=known, skew=0.22)
        scored = label_scores(label, split, rng)
        evaluated = set(split.ids(role=EVALUATION))
        assert set(scored.sample_id) <= evaluated
        assert len(scored.sample_id) == (len(evaluated) if known else len(evaluated) / 2)
        assert auc(*scored.sides) > 0.6


def test_labels_that_do_not_differ_tell_nothing() -> None:
    rng = np.random.default_rng(1)
    for known in (True, False):
        found = [estimate_auc(*label_scores(label, split, rng).sides) for split, label in (
            drawn(rng, known=known, skew=0.0, samples=100) for _ in range(150)
        )]  # fmt: skip
        assert abs(np.mean([one.value for one in found]) - 0.5) < 0.012
        outside = [not one.interval.contains(0.5) for one in found]
        assert np.mean(outside) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_a_class_that_no_known_sample_has_is_no_reason_to_call_a_member() -> None:
    split = Split(np.arange(6), np.arange(6) < 3, np.array([KNOWN] * 2 + [EVALUATION] * 2 + [KNOWN] * 2), "0" * 64, 0)
    scored = label_scores(np.array([0, 0, 2, 2, 0, 0]), split, np.random.default_rng(0))
    assert scored.score.tolist() == [0.5, 0.5]
