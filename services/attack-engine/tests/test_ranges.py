"""Range membership: any version of an image counts as the image."""

import numpy as np
import pytest

from latentprint.attack_engine import audit
from latentprint.attack_engine.asking.signal import kinds
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.over_draws import OverDraws
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.ranges import VERSIONS, InRange
from latentprint.core.errors import UsageError

_RNG = np.random.default_rng(5)
IDS = np.arange(6)


def smooth(count: int) -> np.ndarray:
    """Images uint8 [count, 16, 16, 3] of colours that change slowly, which a crop or an encoding hardly alters."""
    corners = _RNG.uniform(40, 216, (count, 2, 1, 2, 1, 3))
    steps = np.linspace(0, 1, 16)
    along = corners[:, 0] * (1 - steps)[None, :, None, None, None] + corners[:, 1] * steps[None, :, None, None, None]
    across = along[..., 0, :, :] * (1 - steps)[None, None, :, None] + along[..., 1, :, :] * steps[None, None, :, None]
    return across.astype(np.uint8)


MEMBERS, OTHERS = smooth(80), smooth(80)


def colours(images):
    return np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1).astype(np.float32) / 255


def leaky(images):
    """Knows a member by its mean colour, whatever was done to the image."""
    distance = np.abs(colours(images)[:, None, :3] - colours(MEMBERS)[None, :, :3]).max(axis=2).min(axis=1)
    return colours(images) + 0.3 * np.exp(-((distance / 0.01) ** 2))[:, None].astype(np.float32)


def test_versions_belong_to_the_sample_and_jpeg_alters_every_one() -> None:
    images = MEMBERS[:6]
    drawn = InRange(PlainAnswer(), VERSIONS, 4).drawn(images, IDS)
    assert drawn.shape == (6, 4, 16, 16, 3)
    order = np.array([3, 0, 5])
    np.testing.assert_array_equal(InRange(PlainAnswer(), VERSIONS, 4).drawn(images[order], order), drawn[order])
    encoded = InRange(PlainAnswer(), ("jpeg",), 2).drawn(images, IDS)
    assert (encoded != images[:, None]).any(axis=(2, 3, 4)).all()
    assert np.abs(encoded.astype(int) - images[:, None]).mean() < 6
    flipped = InRange(PlainAnswer(), ("flips",), 8).drawn(images, IDS)
    same, mirrored = (flipped == images[:, None]), (flipped == images[:, None, :, ::-1])
    assert (same.all(axis=(2, 3, 4)) | mirrored.all(axis=(2, 3, 4))).all()


def test_a_range_asks_the_signal_of_every_version_and_its_code_counts() -> None:
    attack = AttackChoice("encodermi", range=("crops", "jpeg"), range_draws=3).build(0)
    (signal,) = attack.signals
    assert attack.name == "encodermi in range"
    assert signal.queries_per_sample((16, 16, 3)) == 30
    assert sum(shape.count for shape in signal.shapes_asked((16, 16, 3))) == 30
    assert [kind.__name__ for kind in kinds(signal)] == ["InRange", "EncoderMISignal"]
    assert set(kinds(signal)) < set(attack.parts)
    assert "of 3 versions of each image (crops, jpeg)" in attack.on({"embedding": (8,)}, "here").summary


def test_a_ranges_score_is_the_trimmed_mean_of_its_versions() -> None:
    draws = np.array([[[9.0], [1.0], [2.0], [-50.0]]], dtype=np.float32)
    scorer = OverDraws(Fixed(), 0.25).fit(draws[:0], np.zeros(0, bool), np.random.default_rng(0))
    np.testing.assert_allclose(scorer.score(draws), [1.5])
    assert AttackChoice("supervisedmi", range=("flips",)).build(0).over_draws.trimmed == 0.25
    assert AttackChoice("supervisedmi").build(0).over_draws.trimmed == 0


def test_a_member_is_found_from_versions_that_were_never_trained_on() -> None:
    choice = AttackChoice("supervisedmi", inference="logistic", range=("crops", "flips", "jpeg"), range_draws=4)
    result = audit(leaky, MEMBERS, OTHERS, attacks=choice, untrained=colours, split_by="coin")
    (finding,) = result.findings.audits
    assert finding.verdict.outcome.claims
    assert finding.queries.answered == 4 * 160
    assert finding.attack.name == "supervisedmi in range"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (AttackChoice("supervisedmi", range=("crop",)), "crops"),
        (AttackChoice("supervisedmi", range=("crops",), range_draws=0), "at least 1"),
        (AttackChoice("lpla", range=("crops",)), "lpla has no range of versions"),
    ],
)
def test_a_range_that_is_none_is_refused(choice: AttackChoice, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choice.build(0)
