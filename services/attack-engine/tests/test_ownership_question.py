"""The question of ownership: verdicts on suspects whose truth is known, with and without each control."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from latentprint.attack_engine import AuditResult, audit
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.evidence.controls import ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.findings.serialise import from_json
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.header import Outcome, Verdict
from latentprint.attack_engine.questions.ownership.verdicts import audit_verdict, foreseen, overall_verdict
from latentprint.attack_engine.runs.record import finding_metrics
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import COIN

_RNG = np.random.default_rng(3)
PRIVATE, TEST = (_RNG.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8) for _ in range(2))
MIXTURE = AttackChoice("dataset-inference", inference_options={"components": 3})
_KNOWN = {image.tobytes() for image in PRIVATE}


def encoder(seed: int, pull: float = 0.0):
    """A random encoder that answers private images further along every direction, by `pull`."""
    weights = np.random.default_rng(seed).normal(size=(192, 12))

    def answer(images):
        flat = images.reshape(len(images), -1) / 255.0 - 0.5
        trained = np.array([image.tobytes() in _KNOWN for image in images])
        return (flat @ weights + pull * trained[:, None]).astype(np.float32)

    answer.__name__ = f"encoder{seed}"
    return answer


VICTIM, STOLEN, INDEPENDENT, TWIN = encoder(0, 4.0), encoder(1, 3.0), encoder(2), encoder(3)


@cache
def audited(suspect, **controls) -> AuditResult:
    given = {"untrained": TWIN, "reference": INDEPENDENT, "victim": VICTIM, "split_by": "coin", **controls}
    return audit(suspect, PRIVATE, TEST, attacks=MIXTURE, **given)


def test_a_stolen_encoder_is_flagged_with_every_control_beside_it() -> None:
    found = audited(STOLEN)
    assert found.verdict.label == "stolen or derived"
    (finding,) = found.findings.audits
    assert finding.question == "ownership"
    assert [(c.name, c.holds, c.positive) for c in finding.controls] == [
        ("untrained encoder", True, False),
        ("placebo encoder", True, False),
        ("victim itself", True, True),
    ]
    assert finding.effect.interval.low > finding.effect.null == 0.0
    assert finding.p_value == max(
        finding.result.difference.p_value, *(one.p_value for one in finding.result.paired.values())
    )
    assert set(finding.result.paired) == {"untrained encoder", "placebo encoder"}
    assert (finding.result.known_private, finding.result.difference.non_members) == (60, 120)


def test_an_independent_encoder_is_not_flagged() -> None:
    found = audited(encoder(5))
    assert found.verdict.label == "none found at this power"
    assert "standard deviations would be seen in four of five audits of this size" in found.verdict.sentence


def test_nothing_is_promised_of_a_test_that_was_not_seen_to_tell_the_victim() -> None:
    verdict = without(audited(encoder(5)), "victim itself")
    assert verdict.label == "none found at this power"
    assert "four of five audits" not in verdict.sentence
    assert verdict.sentence.endswith("nothing shows whether this would tell even that.")


def without(found: AuditResult, *absent: str, split_by: str = COIN) -> Verdict:
    """The verdict on the same audit where some controls were not run."""
    (finding,) = found.findings.audits
    paired = {name: one for name, one in finding.result.paired.items() if name not in absent}
    result = replace(finding.result, absent=absent, paired=paired, split_by=split_by)
    return audit_verdict(result, [control for control in finding.controls if control.name not in absent])


def test_without_the_victim_the_most_is_that_derivation_is_indicated() -> None:
    assert without(audited(STOLEN), ORIGINAL).label == "derivation indicated"
    quiet = without(audited(encoder(5)), ORIGINAL)
    assert quiet.label == "none found at this power"
    assert "nothing shows whether this test would tell it" in " ".join(quiet.reasons)


def test_without_an_independent_encoder_it_hangs_on_how_the_images_were_drawn() -> None:
    found = audited(STOLEN)
    assert without(found, PLACEBO, split_by="").label == "stolen or derived, if drawn alike"
    assert without(found, PLACEBO).label == "stolen or derived"
    assert without(found, PLACEBO, UNTRAINED).label == "derivation indicated"


def test_a_test_that_cannot_tell_the_victim_itself_is_not_valid_and_says_so() -> None:
    found = audited(STOLEN, victim=encoder(6))
    assert found.verdict.label == "not valid"
    assert "the test cannot tell the victim itself" in found.verdict.sentence
    (finding,) = found.findings.audits
    assert [control.name for control in finding.failed_controls] == ["victim itself"]
    assert finding.failed_null_controls == ()


def test_a_reference_that_is_flagged_itself_invalidates_the_claim() -> None:
    found = audited(STOLEN, reference=encoder(7, 4.0))
    assert found.verdict.label == "not valid"
    assert "the placebo encoder has nothing of the private images, and they score" in found.verdict.sentence


def test_private_and_test_images_that_differ_by_themselves_are_not_valid() -> None:
    (finding,) = audited(STOLEN).findings.audits
    result = replace(finding.result, blind=replace(finding.result.blind, above_chance=True))
    verdict = audit_verdict(result, finding.controls)
    assert verdict.label == "not valid"
    assert "private and test images differ by themselves" in verdict.sentence


def test_the_report_claims_what_stands_and_believes_no_other() -> None:
    (stolen,), (independent,) = (audited(one).findings.audits for one in (STOLEN, encoder(5)))
    assert overall_verdict([stolen, independent], [True, False]).label == "stolen or derived"
    assert overall_verdict([stolen, independent], [False, False]).label == "none found at this power"
    missed = replace(stolen, verdict=replace(stolen.verdict, outcome=Outcome.INVALID, sentence="Not valid: x."))
    assert overall_verdict([missed, stolen], [True, True]).label == "stolen or derived"
    assert overall_verdict([missed], [True]).sentence == "Not valid: none of 1 test can be believed. " + (
        f"{stolen.name}: Not valid: x."
    )


def test_report_findings_and_metrics_show_the_published_p_values_as_controls(tmp_path) -> None:
    found = audited(STOLEN)
    page = found.report(tmp_path / "report.html").read_text()
    for words in (
        "Stolen from the victim",
        "The suspect beside its controls",
        "Published p, not valid",
        "victim itself",
    ):
        assert words in page
    assert from_json(found.to_json()).audits == found.findings.audits
    metrics = {metric.name: metric.value for metric in finding_metrics(found.findings.audits[0])}
    assert metrics["standardised_difference"] > 0
    assert {"published_halved_p_value", "published_resampled_p_value", "excess_over_placebo_encoder"} <= set(metrics)
    assert "positive_standardised_difference_victim_itself" in metrics


@pytest.mark.parametrize(
    ("controls", "sentence"),
    [
        ({"untrained": True, "placebo": True, "original": True}, ""),
        ({"untrained": True, "placebo": True, "original": False}, r"Name it \(--victim\)"),
        ({"untrained": False, "placebo": False, "original": True}, r"Name one that was trained without them"),
        ({"untrained": True, "placebo": False, "original": True}, r"\(--reference\), or say that a coin"),
    ],
)
def test_the_cap_is_known_before_the_first_query(controls, sentence) -> None:
    blind = audited(STOLEN).findings.audits[0].result.blind
    foretold = list(foreseen("", blind, *controls.values()))
    assert len(foretold) == bool(sentence)
    assert not sentence or re.search(sentence, foretold[0])


def test_bad_input_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(DataError, match="the same sample"):
        audit(STOLEN, PRIVATE, np.concatenate([TEST, PRIVATE[:1]]), attacks=MIXTURE)
    with pytest.raises(DataError, match="9 known and 9 evaluated members"):
        audit(STOLEN, PRIVATE[:18], TEST, attacks=MIXTURE)
    with pytest.raises(UsageError, match="victim is the audited model itself"):
        audit(VICTIM, PRIVATE, TEST, attacks=MIXTURE, victim=VICTIM)
    with pytest.raises(UsageError, match="answers the question of"):
        audit(STOLEN, PRIVATE, TEST, attacks=(MIXTURE, "encodermi"))


def test_it_is_listed_with_its_three_attacks() -> None:
    assert QUESTIONS.get("ownership").attacks == ("dataset-inference", "view-relations", "masked-reconstruction")
