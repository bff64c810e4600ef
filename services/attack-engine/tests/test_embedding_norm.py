"""The attack "embedding norm": the Euclidean norm of the embedding against a threshold."""

import numpy as np
import pytest

from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.threshold import MeanThreshold
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.errors import UsageError

EMBEDDING = PlainAnswer("embedding")


@pytest.mark.parametrize("sign", [1, -1])
def test_it_reads_the_euclidean_norm_and_asks_what_supervisedmi_asks(sign: int) -> None:
    attack = AttackChoice("embedding-norm", {"sign": sign}).build(0)
    assert attack.signals == AttackChoice("supervisedmi").build(0).signals == (EMBEDDING,)
    assert attack.inference == MeanThreshold()
    held = Evidence({EMBEDDING.name: np.array([[3.0, 4.0], [0.0, 0.0], [-5.0, 12.0]], dtype=np.float32)})
    np.testing.assert_allclose(attack.features(held), sign * np.array([[[5.0]], [[0.0]], [[13.0]]]))


def test_vectors_whose_squares_overflow_single_precision_have_a_norm() -> None:
    held = Evidence({EMBEDDING.name: np.full((1, 4), 1e30, dtype=np.float32)})
    np.testing.assert_allclose(AttackChoice("embedding-norm").build(0).features(held), [[[2e30]]], rtol=1e-6)


def test_a_sign_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="sign"):
        AttackChoice("embedding-norm", {"sign": 2}).build(0)
