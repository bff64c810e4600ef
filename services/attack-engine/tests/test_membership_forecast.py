"""What is said of an audit before its first query."""

import numpy as np
import pytest

from latentprint.attack_engine.questions.membership.forecast import forecast
from latentprint.attack_engine.statistics.blind import blind_baseline
from latentprint.core.splits import COIN, EVALUATION, KNOWN, Split

RNG = np.random.default_rng(1)
DARK, BRIGHT = (RNG.integers(low, low + 80, (120, 8, 8, 3)).astype(np.uint8) for low in (0, 120))
ALIKE = blind_baseline(DARK[:60], DARK[60:], rng=RNG)


def split(non_members: int, split_by: str = "") -> Split:
    total = 40 + non_members
    role = np.where(np.arange(total) % 2, KNOWN, EVALUATION)
    return Split(np.arange(total), np.arange(total) < 40, role, "0" * 64, 0, split_by=split_by)


@pytest.mark.parametrize(
    ("untrained", "placebo", "non_members", "split_by", "words"),
    [
        (False, False, 30, "", "will not be valid"),
        (False, False, 200, "", "leak indicated"),
        (False, True, 200, COIN, "leak indicated"),
        (True, False, 200, "", "if members and non-members were drawn alike"),
        (True, False, 200, "time", "--reference"),
        (True, False, 40, COIN, "cannot be looked for with 20 evaluated non-members"),
    ],
)
def test_the_most_that_can_be_said_is_said_before_anything_is_asked(
    untrained: bool, placebo: bool, non_members: int, split_by: str, words: str
) -> None:
    said = " ".join(forecast(split(non_members, split_by), ALIKE, untrained=untrained, placebo=placebo))
    assert words in said


@pytest.mark.parametrize(("placebo", "split_by"), [(True, ""), (False, COIN)])
def test_nothing_is_said_where_nothing_is_missing(placebo: bool, split_by: str) -> None:
    assert list(forecast(split(200, split_by), ALIKE, untrained=True, placebo=placebo)) == []


def test_samples_that_tell_by_their_looks_are_named_before_anything_is_asked() -> None:
    told = blind_baseline(DARK, BRIGHT, rng=RNG)
    (sentence,) = forecast(split(200, COIN), told, untrained=True, placebo=True)
    assert "images alone" in sentence
