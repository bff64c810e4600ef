"""Verdicts and findings on disk."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.evidence.controls import EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.findings.overall import overall_verdict
from latentprint.attack_engine.findings.results import Findings, Published
from latentprint.attack_engine.findings.serialise import from_json, load_findings, save_findings, to_json
from latentprint.attack_engine.questions.header import (
    AttackDescription,
    Effect,
    Finding,
    Outcome,
    Verdict,
    VictimDescription,
)
from latentprint.attack_engine.questions.membership.controls import (
    AUC,
    CHANCE,
    LOOK_ERROR,
    assess_validity,
    null_control,
)
from latentprint.attack_engine.questions.membership.evaluate import evaluate
from latentprint.attack_engine.questions.membership.judge import audit_verdict
from latentprint.attack_engine.questions.membership.looks import leak_evidence
from latentprint.attack_engine.questions.membership.results import (
    Artefact,
    Exposed,
    MembershipResult,
    Sweep,
    SweepPoint,
)
from latentprint.attack_engine.questions.membership.wording import failure_words
from latentprint.attack_engine.statistics.auc import auc_interval, auc_moments, p_values
from latentprint.attack_engine.statistics.estimates import BlindBaseline, Discoveries, Estimate, Interval, SplitTest
from latentprint.attack_engine.statistics.figures import Correlations, Curves
from latentprint.attack_engine.statistics.paired import paired_difference
from latentprint.attack_engine.statistics.repeated import over_seeds
from latentprint.attack_engine.statistics.tail import tail_count
from latentprint.core.errors import DataError
from latentprint.core.splits import COIN

QUIET = BlindBaseline(Estimate(0.52, Interval(0.44, 0.6, 0.95, "permutation")), above_chance=False, features="pixels")
LOUD = BlindBaseline(Estimate(0.8, Interval(0.72, 0.88, 0.95, "permutation")), above_chance=True, features="pixels")
CORRELATIONS = Correlations("C", ("a", "b"), ((1.0, None), (None, 1.0)), ((1.0, 0.5), (0.5, 1.0)), "how")
ALIKE = SplitTest("MMD", 0.001, 0.4, rejects=False)
UNLIKE = SplitTest("MMD", 0.1, 0.001, rejects=True)


def null(shift, name, in_report, samples):
    even = norm.ppf((np.arange(samples) + 0.5) / samples)
    return null_control(name, "nothing to find", even + shift, even, controls_in_report=in_report)


def audit(
    shift,
    *,
    control_shift=0.0,
    controls=(UNTRAINED, EXCHANGED),
    beside=0.0,
    blind=QUIET,
    split=ALIKE,
    in_report=1,
    samples=100,
    others=None,
    seed=0,
    name="v",
    split_by=COIN,
    exposed=0,
    unreadable="",
):
    """An audit whose attack has `shift`, and whose twin scores the same samples with `beside`."""
    rng = np.random.default_rng(seed)
    sides = rng.normal(shift, 1, samples), rng.normal(0, 1, others or samples)
    sides[0][:exposed] += 9.0
    evaluation = evaluate(*sides, called=tuple(side >= 0.5 for side in sides), rng=rng, resamples=50)
    null_controls = [null(control_shift, control, in_report, samples) for control in controls]
    twin = rng.normal(beside, 1, samples), rng.normal(0, 1, others or samples)
    allowed = evaluation.tail.false_positives if evaluation.tail else None
    differences = [
        paired_difference(control, sides, twin, false_positives=allowed, rng=rng)
        for control in controls
        if control != EXCHANGED
    ]
    validity = assess_validity(
        evaluation,
        null_controls,
        controls_in_report=in_report,
        blind=blind,
        split_test=split,
        differences=differences,
        split_by=split_by,
        unreadable=unreadable,
    )
    in_header = tuple(one.control for one in null_controls)
    return Finding(
        question=MEMBERSHIP,
        victim=VictimDescription(name, "local:bundle", "digits", {"embedding": [64]}, {"epochs": 3, "loss": 0.125}),
        attack=AttackDescription("partcrop", "parts against the whole", "a paper"),
        effect=Effect.of(AUC, evaluation.auc, CHANCE),
        p_value=leak_evidence(evaluation, validity).p_value,
        controls=in_header,
        verdict=audit_verdict(evaluation, in_header, validity),
        queries=Queries(10, 9, 1, 1, None, 0.1),
        digests={"split": "ab", "dataset": "cd"},
        figures=(Curves("c", "x", "y", (1.0,), (0.1,), (2.0,), (0.1,)), CORRELATIONS),
        seed=seed,
        result=MembershipResult(
            evaluation=evaluation,
            validity=validity,
            discoveries=Discoveries(0.05, (3, 1), 1),
            most_exposed=(Exposed(3, True, 1.5, 1.0, "data:image/png;base64,AA=="),),
            least_exposed=(),
            known_members=10,
            known_non_members=10,
        ),
    )


def test_a_leak_with_holding_controls_is_found():
    verdict = audit(1.0).verdict
    assert verdict.outcome is Outcome.FOUND
    assert verdict.sentence.startswith("Leak found: ")
    assert "guessing gives 50 %" in verdict.sentence
    assert any("at random" in reason for reason in verdict.reasons)


def test_a_leak_in_the_tail_alone_is_found_and_the_tail_is_named():
    found = audit(0.0, samples=1000, others=2000, exposed=19)
    assert found.result.evaluation.auc.interval.low < 0.5
    assert found.verdict.outcome is Outcome.FOUND
    assert "in the tail, 2" in found.verdict.sentence
    assert "2 of 2,000 non-members" in found.verdict.sentence
    assert "guessing puts 1.5 there" in found.verdict.sentence
    assert overall_verdict([found]).outcome is Outcome.FOUND
    assert "in the tail" in overall_verdict([found]).sentence


@pytest.mark.parametrize(
    ("controls", "split_by", "outcome", "opening"),
    [
        ((UNTRAINED, PLACEBO), "", Outcome.FOUND, "Leak found: "),
        ((UNTRAINED,), COIN, Outcome.FOUND, "Leak found: "),
        ((UNTRAINED,), "", Outcome.CONDITIONAL, "Leak found, if members and non-members were drawn alike: "),
        ((UNTRAINED,), "time", Outcome.CONDITIONAL, "Leak found, if members and non-members were drawn alike: "),
        ((EXCHANGED,), COIN, Outcome.INDICATED, "Leak indicated; no untrained control: "),
        ((PLACEBO, EXCHANGED), "", Outcome.INDICATED, "Leak indicated; no untrained control: "),
    ],
)
def test_the_controls_there_are_cap_what_is_claimed(controls, split_by, outcome, opening):
    found = audit(1.5, controls=controls, split_by=split_by)
    assert found.verdict.outcome is outcome
    assert found.verdict.sentence.startswith(opening)
    missing = [name for name in (UNTRAINED, PLACEBO, EXCHANGED) if name not in controls]
    assert any(reason == f"Not run: {', '.join(missing)}." for reason in found.verdict.reasons)
    report = overall_verdict([found])
    assert report.outcome is outcome
    assert "Every null control holds" not in report.sentence
    for name in missing:
        assert name in report.sentence


def test_nothing_to_find_is_none_at_this_power():
    found = audit(0.0)
    assert found.verdict.outcome is Outcome.NONE
    assert f"{100 * found.result.validity.power.detectable_auc:.1f} %" in found.verdict.sentence
    assert "of the members wholly exposed" in found.verdict.sentence


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"control_shift": 1.0}, "untrained encoder"),
        ({"control_shift": -1.0}, "untrained encoder"),
        ({"control_shift": 1.0, "controls": (PLACEBO,)}, "placebo encoder"),
        ({"controls": ()}, "no null control"),
        ({"blind": LOUD}, "images alone"),
    ],
)
def test_no_leak_is_claimed_without_what_must_hold(change, word):
    verdict = audit(1.5, **change).verdict
    assert verdict.outcome is Outcome.INVALID
    assert verdict.sentence.startswith("Not valid: ")
    assert word in verdict.sentence
    assert any("AUC" in reason for reason in verdict.reasons)


def test_a_control_is_judged_by_its_tail_too():
    rng = np.random.default_rng(1)
    members, non_members = rng.normal(size=1000), rng.normal(size=1000)
    members[:20] += 9
    judged_control = null_control(UNTRAINED, "", members, non_members, controls_in_report=4)
    control, tail = judged_control.control, judged_control.tail
    assert control.effect.contains_null
    assert not control.holds
    assert "in the tail" not in failure_words(control, tail)
    assert "score above a threshold" in failure_words(control, tail)


def test_what_the_control_finds_too_is_no_leak():
    found = audit(0.5, beside=0.5, samples=200)
    assert found.result.evaluation.p_value < 0.001
    assert found.verdict.outcome is Outcome.NONE
    assert "not shown to be more than with the untrained encoder" in found.verdict.sentence
    assert overall_verdict([found]).outcome is Outcome.NONE


def test_nothing_to_read_is_not_valid_and_says_so():
    found = audit(0.0, unreadable="the attack reads the same.")
    assert found.verdict.outcome is Outcome.UNREADABLE
    assert found.verdict.sentence == "Not valid: nothing to read: the attack reads the same."
    assert overall_verdict([found]).outcome is Outcome.UNREADABLE
    assert overall_verdict([found, audit(0.0, blind=LOUD)]).outcome is Outcome.INVALID


def test_a_rejecting_split_test_is_a_caution():
    verdict = audit(1.0, split=UNLIKE).verdict
    assert verdict.outcome is Outcome.FOUND
    assert any("Caution" in reason and "0.001" in reason for reason in verdict.reasons)


def test_reversed_scores_are_their_own_outcome():
    turned = audit(-1.0)
    assert turned.verdict.outcome is Outcome.REVERSED
    assert turned.verdict.sentence.startswith("Separates in the other direction: ")
    report = overall_verdict([turned, audit(0.0, name="quiet")])
    assert report.outcome is Outcome.REVERSED
    assert "in 1 of 2 audits" in report.sentence
    assert overall_verdict([turned, audit(1.5, name="leaky")]).outcome is Outcome.FOUND


def test_what_a_control_turns_round_as_well_is_not_reversed():
    assert audit(-0.5, beside=-0.5, samples=200).verdict.outcome is Outcome.NONE


def test_one_sample_a_side_gives_a_verdict():
    assert audit(1.0, samples=1).verdict.outcome is Outcome.NONE


def test_three_against_three_are_too_few_for_a_claim():
    evaluation = evaluate([4, 5, 6], [1, 2, 3], called=([1, 1, 1], [0, 0, 0]), rng=np.random.default_rng(0))
    assert evaluation.p_value == pytest.approx(0.05)
    quiet = audit(0.0)
    validity = replace(quiet.result.validity, differences=())
    assert audit_verdict(evaluation, quiet.controls, validity).outcome is Outcome.NONE


def test_unresolvable_rates_are_named():
    assert any("TPR@0.1%FPR is not resolvable" in reason for reason in audit(1.0).verdict.reasons)
    assert any("The tail was not looked at" in reason for reason in audit(1.0, samples=60).verdict.reasons)


def test_a_failed_null_control_is_in_the_reports_first_words():
    verdict = overall_verdict([audit(1.0, name="a"), audit(1.0, control_shift=1.0, name="b")])
    assert verdict.outcome is Outcome.INVALID
    assert verdict.sentence.startswith("Not valid: 2 of 4 null controls failed")
    assert "partcrop on b" in verdict.sentence
    assert any("partcrop on a" in reason for reason in verdict.reasons)


def test_a_report_names_its_strongest_leak_and_the_rest():
    verdict = overall_verdict([audit(0.0, name="a"), audit(0.8, name="b"), audit(1.6, name="c")])
    assert verdict.outcome is Outcome.FOUND
    assert verdict.sentence.startswith("Leak found in 2 of 3 audits")
    assert "partcrop on c" in verdict.sentence
    assert any("None found at this power: partcrop on a" in reason for reason in verdict.reasons)


def test_a_claim_without_condition_comes_before_one_with():
    verdict = overall_verdict([audit(1.6, name="a", split_by=""), audit(1.0, name="b")])
    assert verdict.outcome is Outcome.FOUND
    assert verdict.sentence.startswith("Leak found in 1 of 2 audits")
    assert any("partcrop on a: Leak found, if members" in reason for reason in verdict.reasons)


def test_what_stands_alone_may_fall_among_many():
    weak = audit(0.45, seed=1, name="weak")
    assert weak.verdict.outcome is Outcome.FOUND
    assert 0.05 / 20 < leak_evidence(weak.result.evaluation, weak.result.validity).p_value < 0.05
    assert overall_verdict([weak]).outcome is Outcome.FOUND
    verdict = overall_verdict([weak, *(audit(0.0, name=str(i), in_report=20) for i in range(19))])
    assert verdict.outcome is Outcome.NONE
    assert any("singly" in reason and "weak" in reason for reason in verdict.reasons)


def test_a_report_of_nothing_valid_is_not_valid():
    verdict = overall_verdict([audit(1.0, blind=LOUD), audit(0.0, blind=LOUD)])
    assert verdict.outcome is Outcome.INVALID
    assert verdict.sentence.startswith("Not valid: none of 2 audits")


def test_a_leak_stands_beside_an_audit_that_is_not_valid():
    verdict = overall_verdict([audit(1.5, name="a"), audit(1.5, blind=LOUD, name="b")])
    assert verdict.outcome is Outcome.FOUND
    assert "1 of 2 audits" in verdict.sentence
    assert any("images alone" in reason for reason in verdict.reasons)


def test_an_empty_report_is_refused():
    with pytest.raises(DataError, match="at least one audit"):
        overall_verdict([])


def judged(base, attack, twin, exchanged, in_report, rng):
    """One audit of simulated scores, each (members, non-members), through the very functions that audits use."""
    moments = auc_moments(*attack)
    above, below = p_values(moments)
    tail = tail_count(*attack)
    allowed = tail.false_positives if tail is not None and tail.p_value <= LOOK_ERROR else None
    auc = Estimate(moments.auc, auc_interval(moments, 0.95))
    evaluation = replace(base.result.evaluation, auc=auc, p_value=above, p_value_below=below, tail=tail)
    null_controls = [
        null_control(name, "", *sides, controls_in_report=in_report)
        for name, sides in ((UNTRAINED, twin), (EXCHANGED, exchanged))
    ]
    difference = paired_difference(UNTRAINED, attack, twin, false_positives=allowed, rng=rng)
    tails = {one.control.name: one.tail for one in null_controls if one.tail is not None}
    validity = replace(
        base.result.validity, control_tails=tails, differences=(difference,), controls_in_report=in_report
    )
    controls = tuple(one.control for one in null_controls)
    return replace(
        base,
        p_value=leak_evidence(evaluation, validity).p_value,
        controls=controls,
        verdict=audit_verdict(evaluation, controls, validity),
        result=replace(base.result, evaluation=evaluation, validity=validity),
    )


def simulated(rng, auc, samples):
    shift = norm.ppf(auc) * 2**0.5
    return rng.normal(shift, 1, samples), rng.normal(0, 1, samples)


def test_null_reports_claim_a_leak_and_fail_controls_no_more_often_than_nominal():
    """Reports of eight audits with two controls each, all of them without any leak."""
    rng, base = np.random.default_rng(5), audit(0.0)
    draws, claims, turns, failures = 150, 0, 0, 0
    for _ in range(draws):
        audits = [judged(base, *(simulated(rng, 0.5, 100) for _ in range(3)), 16, rng) for _ in range(8)]
        failures += any(not control.holds for a in audits for control in a.controls)
        outcome = overall_verdict(audits).outcome
        claims, turns = claims + outcome.claims, turns + (outcome is Outcome.REVERSED)
    assert failures / draws <= 0.05 + 2.6 * (0.05 * 0.95 / draws) ** 0.5
    assert claims / draws <= 0.05 + 2.6 * (0.05 * 0.95 / draws) ** 0.5
    assert turns / draws <= 0.025 + 2.6 * (0.025 * 0.975 / draws) ** 0.5


@pytest.mark.parametrize("auc", [0.5, 0.54, 0.58, 0.62, 0.7])
def test_where_attack_and_twin_find_alike_no_more_leaks_are_claimed_than_nominal(auc):
    """A confounded split: whatever the attack finds, an untrained twin finds as well."""
    rng, base = np.random.default_rng(6), audit(0.0)
    draws, claims = 300, 0
    for _ in range(draws):
        sides = simulated(rng, auc, 100), simulated(rng, auc, 100), simulated(rng, 0.5, 50)
        claims += overall_verdict([judged(base, *sides, 2, rng)]).outcome.claims
    assert claims / draws <= 0.05 + 2.6 * (0.05 * 0.95 / draws) ** 0.5


def test_controls_level_is_corrected():
    scores = np.random.default_rng(6).normal(size=(2, 50))
    alone = null_control("n", "d", *scores, controls_in_report=1)
    among = null_control("n", "d", *scores, controls_in_report=20)
    assert alone.control.effect.interval.level == pytest.approx(0.975)
    assert among.control.effect.interval.level == pytest.approx(0.99875)
    assert among.control.effect.interval.low < alone.control.effect.interval.low
    with pytest.raises(ValueError, match="at least one"):
        null_control("n", "d", *scores, controls_in_report=0)


def findings():
    audits = (audit(1.0), audit(0.0, samples=1, controls=()))
    return Findings("A report", "2026-11-01", overall_verdict(audits), audits, {"a": [1, None, "é"]}, {"x": "1"})


def test_findings_come_back_as_they_were(tmp_path):
    original = findings()
    save_findings(original, tmp_path / "deep" / "findings.json")
    assert load_findings(tmp_path / "deep" / "findings.json") == original
    assert isinstance(load_findings(tmp_path / "deep" / "findings.json").verdict.outcome, Outcome)


@settings(max_examples=50, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5))
def test_every_number_and_text_comes_back_exactly(number, text):
    original = Findings(text, text, Verdict(Outcome.NONE, text, text, (text,)), (), {"n": number})
    again = from_json(to_json(original))
    assert again == original
    assert again.configuration["n"].hex() == number.hex()


FINITE = st.floats(allow_nan=False, allow_infinity=False)
ESTIMATES = st.builds(Estimate, FINITE, st.builds(Interval, FINITE, FINITE, FINITE, st.text(max_size=3)))
SWEEPS = st.builds(
    Sweep,
    st.sampled_from(["knowledge", "queries"]),
    st.lists(st.builds(SweepPoint, FINITE, ESTIMATES, ESTIMATES)).map(tuple),
)
PUBLISHED = st.builds(
    Published, *[st.text(max_size=3)] * 3, st.dictionaries(st.text(max_size=3), FINITE, max_size=3),
    shadow=st.text(max_size=3), knowledge=st.none() | FINITE, queries=st.none() | st.integers(0, 10**6),
)  # fmt: skip
ARTEFACTS = st.builds(Artefact, st.booleans(), st.integers(), st.integers(), *[ESTIMATES] * 4)
AUDIT = audit(1.0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(SWEEPS, max_size=2), st.lists(PUBLISHED, max_size=2), st.lists(ARTEFACTS, max_size=2), st.text(max_size=3)
)
def test_what_stands_beside_audits_comes_back_exactly(sweeps, published, artefacts, name):
    result = replace(AUDIT.result, sweeps=tuple(sweeps), discoveries=None, artefacts=tuple(artefacts))
    shadow = replace(AUDIT, attack=replace(AUDIT.attack, fitted_on=name), result=result)
    original = replace(findings(), audits=(shadow,), scale=name, published=tuple(published))
    assert from_json(to_json(original)) == original


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_nan_is_written(bad):
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(replace(findings(), configuration={"x": bad}))


def _edit(path, value):
    def edit(data):
        place = data
        for key in path[:-1]:
            place = place[key]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (_edit(["extra"], 1), "extra"),
        (_edit(["created"], None), "created"),
        (_edit(["audits", 0, "result", "evaluation", "p_value"], None), "p_value"),
        (_edit(["audits", 0, "result", "evaluation", "f1"], "0.5"), "f1"),
        (_edit(["audits", 0, "result", "evaluation", "recall"], float("nan")), "NaN"),
        (_edit(["audits", 0, "verdict", "outcome"], "perhaps"), "outcome"),
        (_edit(["audits", 0, "verdict", "reason"], "x"), "reason"),
        (_edit(["audits", 0, "result", "sweeps"], None), "sweeps"),
        (_edit(["audits", 0, "effect", "null"], None), "null"),
        (_edit(["audits", 0, "question"], "memberships"), "membership"),
        (_edit(["audits", 0, "figures", 0, "kind"], "pie"), "figures"),
        (_edit(["schema_version"], 1), "holds findings of version 1"),
        (_edit(["schema_version"], None), "holds findings of version 1"),
        (_edit(["scale"], 3), "scale"),
    ],
)
def test_another_shape_is_refused_by_name(edit, word, tmp_path):
    data = json.loads(to_json(findings()))
    edit(data)
    path = tmp_path / "findings.json"
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=word):
        load_findings(path)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="No such findings"):
        load_findings(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text('{"title": ')
    with pytest.raises(DataError, match=r"broken\.json cannot be read"):
        load_findings(tmp_path / "broken.json")


def test_repeated_seeds_give_mean_and_deviation():
    repeated = over_seeds([0.6, 0.7, 0.8])
    assert repeated.mean == pytest.approx(0.7)
    assert repeated.deviation == pytest.approx(0.1)
    assert over_seeds([0.6]).deviation is None
    with pytest.raises(ValueError, match="no seeds"):
        over_seeds([])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=10),
    st.lists(st.integers(-3, 3), min_size=1, max_size=10),
    st.randoms(use_true_random=False),
)
def test_an_evaluation_ignores_order_and_holds_no_nan(members, non_members, random):
    def run():
        rng = np.random.default_rng(0)
        called = tuple([score >= 0 for score in side] for side in (members, non_members))
        return evaluate(members, non_members, called=called, rng=rng, target_fprs=(0.2, 0.001), resamples=20)

    first = run()
    json.dumps(first, default=vars, allow_nan=False)
    random.shuffle(members)
    random.shuffle(non_members)
    assert run() == first
