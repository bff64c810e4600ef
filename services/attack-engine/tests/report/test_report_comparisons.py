"""What the page says where audits stand beside one another, and that it says no more than the intervals do."""

import re
from dataclasses import replace

import pytest

from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.findings.results import Findings, Published
from latentprint.attack_engine.findings.serialise import from_json, to_json
from latentprint.attack_engine.questions.header import Effect, Outcome, VictimDescription
from latentprint.attack_engine.questions.membership.results import MembershipFinding
from latentprint.attack_engine.questions.membership.wording import labelled
from latentprint.attack_engine.report.membership.claims import Claim, claim, contradicts, judge
from latentprint.attack_engine.report.membership.published import reading_of_treatment, scale_line, sources
from latentprint.attack_engine.report.membership.signs import compare, contradictions, signs
from latentprint.attack_engine.report.membership.trade_off import TradeOff, trade_offs
from latentprint.attack_engine.report.page import page
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.statistics.estimates import EpsilonBound, Estimate, Interval

SECTIONS = ("shadow", "published", "trade-offs", "treatment")


@pytest.fixture(scope="module")
def html(compared: Findings) -> str:
    return render(compared)


def text(part: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", part).replace("\xa0", " ").split())


def section(html: str, name: str) -> str:
    start = html.index(f'<section id="{name}"')
    return text(html[start : html.index("</section>", start)])


def with_auc(audit: MembershipFinding, low: float, high: float, outcome: Outcome = Outcome.FOUND) -> MembershipFinding:
    auc = Estimate((low + high) / 2, Interval(low, high, 0.95, "DeLong"))
    result = replace(audit.result, evaluation=replace(audit.result.evaluation, auc=auc))
    return replace(audit, effect=Effect.of("AUC", auc, 0.5), verdict=labelled(outcome, ""), result=result)


def with_bound(audit: MembershipFinding, epsilon: float, delta: float = 1e-5) -> MembershipFinding:
    evaluation = replace(audit.result.evaluation, epsilon=EpsilonBound(epsilon, delta, 0.95, 9))
    return replace(audit, result=replace(audit.result, evaluation=evaluation))


def trained(findings: Findings, **changes: dict) -> list[TradeOff]:
    """The comparisons after some victims' trainings were changed, by the victims' names."""
    audits = []
    for audit in findings.audits:
        training = {**audit.victim.training, **changes.get(audit.victim.name.replace("-", "_"), {})}
        audits.append(replace(audit, victim=replace(audit.victim, training=training)))
    return list(trade_offs(page(replace(findings, audits=tuple(audits))).groups_of(MEMBERSHIP)))


def names(comparison: TradeOff) -> list[str]:
    return [one.group.victim.name for one in comparison.variants]


def test_findings_without_comparisons_have_none_of_their_sections(findings: Findings) -> None:
    html = render(findings)
    assert not any(f'id="{name}"' in html for name in SECTIONS)
    assert "All attacks together" not in html


def test_findings_with_comparisons_come_back_as_they_were_and_make_the_same_page(compared: Findings, html: str) -> None:
    again = from_json(to_json(compared))
    assert again == compared
    assert render(again) == html
    assert all(f'id="{name}"' in html and f'href="#{name}"' in html for name in SECTIONS)


def test_shadow_audits_stand_apart_from_partial_ones(compared: Findings, html: str) -> None:
    partial, shadow = re.findall(r'<table class="matrix".*?</table>', html, re.DOTALL)
    assert partial.count('class="cell ') == 8
    assert shadow.count('class="cell ') == 1
    assert "mae-on-digits → mae" in text(shadow)
    assert "mae-on-digits" not in text(partial)
    assert "Shadow setting: fitted on mae-on-digits, an encoder that the attacker trained" in text(html)
    assert "Partial setting: fitted on 300 known members and 300 known non-members" in text(html)
    assert "Nobody is named" in html


def test_a_report_of_shadow_audits_alone_has_one_matrix(compared: Findings) -> None:
    html = render(replace(compared, audits=compared.audits[-1:]))
    assert html.count('<table class="matrix"') == 1
    assert "Shadow setting" in html


def test_a_failed_control_in_the_shadow_setting_names_the_shadow(compared: Findings) -> None:
    audit = compared.audits[-1]
    failed = replace(audit, controls=tuple(replace(control, holds=False) for control in audit.controls[:1]))
    headline = page(replace(compared, audits=(failed,))).headline
    assert "mae under partcrop, fitted on mae-on-digits" in headline.first


@pytest.mark.parametrize(
    ("defended", "undefended", "words"),
    [
        ((0.70, 0.80), (0.55, 0.65), "leaks more"),
        ((0.52, 0.60), (0.65, 0.75), "leaks less"),
        ((0.52, 0.66), (0.65, 0.75), "no difference shown"),
        ((0.60, 0.70), (0.60, 0.70), "no difference shown"),
        ((0.30, 0.40), (0.45, 0.55), "no difference shown"),
        ((0.42, 0.49), (0.30, 0.40), "no difference shown"),
    ],
)
def test_a_difference_is_shown_by_intervals_alone(compared: Findings, defended, undefended, words) -> None:
    one = compared.audits[0]
    assert compare(with_auc(one, *defended), with_auc(one, *undefended)) == words
    invalid = with_auc(one, *undefended, Outcome.INVALID)
    assert compare(with_auc(one, *defended), invalid).startswith("not comparable")


def test_defences_stand_beside_the_victim_that_they_come_from(compared: Findings) -> None:
    (comparison,) = trade_offs(page(compared).groups_of(MEMBERSHIP))
    assert names(comparison) == ["mae", "mae-early", "mae-scsr", "mae-dp"]
    labels = [one.label for one in comparison.variants]
    assert labels == ["undefended", "early-stop (fraction 0.5)", "scsr (lower 0.4)", "dp-sgd (ε ≤ 0.30)"]
    assert comparison.variants[-1].name == "dp-sgd (clip 1, noise 0.8)"
    assert comparison.utility == "probe_accuracy"
    assert dict(signs(comparison))["scsr (lower 0.4)"] == "leaks more (partcrop, partcrop+encodermi)"


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"seed": 1}, False),
        ({"recipe": "moco"}, False),
        ({"recipe": "mae-stronger", "of_recipe": "mae"}, True),
        (
            {"recipe": "mae-mixed", "options": {"depth": 4, "crop_scale_from": 0.2, "mix": 1}, "epochs": 1000},
            True,
        ),
        ({"defences": [{"name": "scsr", "options": {}}]}, True),
    ],
)
def test_who_an_undefended_original_is(compared: Findings, change: dict, kept: bool) -> None:
    found = trained(compared, mae_scsr=change)
    first = next(one for one in found if one.undefended is not None)
    assert ("mae-scsr" in names(first)) is kept
    if not kept:
        (orphan,) = (one for one in found if one.undefended is None)
        assert names(orphan) == ["mae-scsr"]


def test_another_split_is_another_comparison(compared: Findings) -> None:
    moved = tuple(
        replace(a, digests={**a.digests, "split": "other"}) if a.victim.name == "mae-dp" else a for a in compared.audits
    )
    html = render(replace(compared, audits=moved))
    assert "nothing can be said of what these defences change" in section(html, "trade-offs")


def test_of_several_originals_the_closest_is_taken(compared: Findings) -> None:
    deeper = {"options": {"depth": 8, "crop_scale_from": 0.2}, "defences": []}
    (comparison,) = trained(compared, mae_early=deeper)
    assert names(comparison) == ["mae", "mae-scsr", "mae-dp"]


def test_an_untrained_or_unknown_encoder_is_nobodys_original(compared: Findings) -> None:
    audit = compared.audits[0]
    for training in ({}, {"recipe": "untrained", "of": "mae", "options": audit.victim.training["options"], "seed": 0}):
        bare = replace(audit, victim=replace(audit.victim, training=training))
        (comparison,) = trade_offs(page(replace(compared, audits=(bare, *compared.audits[2:]))).groups_of(MEMBERSHIP))
        assert comparison.undefended is None


def test_namesakes_are_labelled_by_all_their_options(compared: Findings) -> None:
    scsr = {"name": "scsr", "options": {"lower": 0.4, "steps": 2}}
    (comparison,) = trained(
        compared,
        mae_scsr={"defences": [scsr]},
        mae_early={"defences": [scsr | {"options": {"lower": 0.4, "steps": 3}}]},
    )
    labels = [one.label for one in comparison.defended]
    assert labels[:2] == ["scsr (lower 0.4, steps 3)", "scsr (lower 0.4, steps 2)"]


def test_the_axis_is_what_all_victims_have(compared: Findings) -> None:
    (comparison,) = trained(compared, mae_dp={"probe_accuracy": None})
    assert comparison.utility == "knn_accuracy"
    (comparison,) = trained(compared, mae_dp={"probe_accuracy": None, "knn_accuracy": True})
    assert comparison.utility is None
    without = tuple(
        replace(
            a, victim=replace(a.victim, training={**a.victim.training, "probe_accuracy": None, "knn_accuracy": None})
        )
        for a in compared.audits
    )
    assert "No plane is drawn" in section(render(replace(compared, audits=without)), "trade-offs")


@pytest.mark.parametrize(
    ("claimed", "bound", "words"),
    [
        (Claim(0.3, 1e-5), (0.31, 1e-5), "claim contradicted"),
        (Claim(0.3, 1e-6), (0.31, 1e-5), "claim contradicted"),
        (Claim(0.3, 1e-5), (0.3, 1e-5), "claim not contradicted"),
        (Claim(0.3, 1e-4), (0.31, 1e-5), "not checked: the bound is at a smaller δ than the claim"),
        (Claim(0.3, None), (9.0, 1e-5), "not checked: the claim’s δ is unknown"),
    ],
)
def test_a_claim_falls_only_to_a_larger_bound_at_a_delta_that_it_covers(compared, claimed, bound, words) -> None:
    audit = with_auc(with_bound(compared.audits[0], *bound), 0.6, 0.7)
    assert judge(claimed, audit) == words
    assert contradicts(claimed, audit) is (words == "claim contradicted")
    assert judge(claimed, with_auc(audit, 0.6, 0.7, Outcome.INVALID)).startswith("not checked")


def test_claims_are_read_from_whatever_a_training_says() -> None:
    assert claim({"privacy": {"epsilon": 8, "delta": 1e-5}}) == Claim(8.0, 1e-5)
    assert claim({"privacy": {"epsilon": 8}}) == Claim(8.0, None)
    assert all(claim(training) is None for training in ({}, {"privacy": None}, {"privacy": {"epsilon": "8"}}))


def test_a_contradicted_claim_is_said_outside_the_table(compared: Findings) -> None:
    audits = tuple(with_bound(a, 0.75) if a.victim.name == "mae-dp" else a for a in compared.audits)
    (comparison,) = trade_offs(page(replace(compared, audits=audits)).groups_of(MEMBERSHIP))
    sentences = list(contradictions(comparison))
    assert len(sentences) == 2
    assert sentences[0] == (
        "The accountant of mae-dp claims ε ≤ 0.30 (δ = 10⁻⁵); partcrop contradicts that: its lower bound is "
        "ε ≥ 0.75 at δ = 10⁻⁵, with 95\xa0% confidence."
    )
    assert sentences[0].replace("\xa0", " ") in section(render(replace(compared, audits=audits)), "trade-offs")
    assert "contradicts that" not in section(render(compared), "trade-offs")


def test_published_numbers_find_their_audit_or_their_point_of_a_sweep(compared: Findings) -> None:
    audit = compared.audits[0]
    table, figure, shadow, defence = sources(compared)
    first, moco = table.rows
    assert first.audit is audit
    assert first.pairs["accuracy"].measured == audit.result.evaluation.balanced_accuracy.value
    assert first.pairs["precision"].measured == audit.result.evaluation.precision
    assert moco.audit is None
    assert moco.pairs["accuracy"].difference == ""
    knowledge, queries, absent = figure.rows
    assert knowledge.auc == audit.result.sweeps[0].points[0].auc
    assert queries.auc == audit.result.sweeps[1].points[2].auc
    assert absent.audit is None
    assert shadow.rows[0].audit is compared.audits[-1]
    assert defence.metrics == ("accuracy", "probe_accuracy")
    assert defence.rows[0].pairs["probe_accuracy"].difference == "0.0\xa0points"


def test_rates_at_low_fpr_auc_and_the_victims_own_accuracies_stand_beside_published_ones(compared: Findings) -> None:
    audit = compared.audits[0]
    victim = replace(audit.victim, training={**audit.victim.training, "train_accuracy": 0.9, "test_accuracy": 0.55})
    given = {"auc": 0.5, "tpr_at_0.001_fpr": 0.1199, "tpr_at_0.01_fpr": 0.2, "test_accuracy": 0.5, "accuracy_gap": 0.3}
    few = replace(audit.result.evaluation.tpr_at_fpr[1], tpr=None, interval=None)
    rates = (audit.result.evaluation.tpr_at_fpr[0], few)
    result = replace(audit.result, evaluation=replace(audit.result.evaluation, tpr_at_fpr=rates))
    one = replace(audit, victim=victim, result=result)
    findings = replace(
        compared, audits=(one,), published=(Published("SeqMIA, Table 3", victim.name, one.attack.name, given),)
    )
    (source,) = sources(findings)
    pairs = source.rows[0].pairs
    assert source.metrics == ("tpr_at_0.001_fpr", "tpr_at_0.01_fpr", "auc", "test_accuracy", "accuracy_gap")
    assert pairs["tpr_at_0.01_fpr"].measured == rates[0].tpr
    assert pairs["tpr_at_0.001_fpr"].as_published == "11.99\xa0%"
    assert pairs["tpr_at_0.001_fpr"].as_measured == "–"
    assert pairs["auc"].difference == f"{one.result.evaluation.auc.value - 0.5:+.3f}"
    assert pairs["test_accuracy"].difference == "+5.0\xa0points"
    assert pairs["accuracy_gap"].difference == "+5.0\xa0points"
    written = section(render(findings), "published")
    assert "AUC, published" in written
    assert "AUC, measured" not in written, "the AUC stands there once"
    assert "TPR at 0.1 % FPR, published measured" in written
    assert f"0.500 {one.result.evaluation.auc.value:.3f} [" in written


def test_differences_are_in_points_with_their_sign(compared: Findings, html: str) -> None:
    measured = compared.audits[0].result.evaluation.balanced_accuracy.value
    written = section(html, "published")
    assert f"58.38 % {100 * measured:.1f} %" in written
    assert f"+{100 * (measured - 0.5838):.1f} points" in written
    assert "not measured" in written
    assert "10 % known" in written
    assert "65 images a sample" in written


def test_the_scale_is_said_first_and_small_numbers_are_no_reproduction(compared: Findings, html: str) -> None:
    assert section(html, "published").startswith("Published beside measured Measured at scale “small”")
    assert "no reproduction" in scale_line("small")
    assert "no reproduction" in scale_line("")
    assert scale_line("paper") == "Measured at the scale of the paper."


def test_metrics_that_nobody_named_before_are_shown_too(compared: Findings) -> None:
    odd = Published("A table", "mae", "partcrop", {"auc_of_theirs": 0.5})
    html = render(replace(compared, published=(odd,)))
    assert "auc_of_theirs, published" in section(html, "published")


def test_what_the_treatment_shows_is_said_in_words(compared: Findings, html: str) -> None:
    untrained, memorised = compared.audits[0].result.artefacts
    assert reading_of_treatment(untrained) == "trained on nobody: any excess is the treatment’s"
    assert (
        reading_of_treatment(replace(untrained, as_published=untrained.alike))
        == "trained on nobody, and no excess shown"
    )
    assert reading_of_treatment(memorised) == "excess with all samples treated alike too"
    assert reading_of_treatment(replace(memorised, alike=untrained.alike)).startswith("excess only where")
    assert reading_of_treatment(replace(memorised, alike=untrained.alike, as_published=untrained.alike)).startswith(
        "no excess"
    )
    written = section(html, "treatment")
    assert "0.481 [0.441, 0.521]" in written
    assert "56.9 % [52.9, 60.9] %" in written
    assert "comes from the difference in treatment and not from memory" in written


def test_every_sweep_has_a_chart_and_a_table(compared: Findings, html: str) -> None:
    label = re.findall(r'aria-label="Attack AUC against ([^"]*)"', html)
    assert label == [
        "knowledge: partcrop, partcrop+encodermi", "images a sample: partcrop, partcrop+encodermi",
        "knowledge: partcrop", "images a sample: partcrop",
        "knowledge: partcrop+encodermi", "images a sample: partcrop+encodermi",
    ]  # fmt: skip
    point = compared.audits[0].result.sweeps[0].points[0]
    assert f"10 % {point.auc.value:.3f} [{point.auc.interval.low:.3f}" in text(html)


def test_hostile_names_are_escaped_in_every_new_place(compared: Findings) -> None:
    evil = "\"'><script>alert(1)</script>{{ 7 * 7 }}"

    def poisoned(victim: VictimDescription) -> VictimDescription:
        defences = [{"name": evil, "options": {evil: evil}} for _ in victim.training["defences"]]
        return replace(victim, training={**victim.training, "defences": defences})

    audits = tuple(
        replace(
            a,
            attack=replace(a.attack, name=evil, fitted_on=a.attack.fitted_on and evil),
            victim=poisoned(a.victim),
            result=replace(a.result, sweeps=tuple(replace(s, name=evil) for s in a.result.sweeps)),
        )
        for a in compared.audits
    )
    html = render(
        replace(
            compared, audits=audits, scale=evil,
            published=(Published(evil, evil, evil, {evil: 0.5}, shadow=evil),),
        )
    )  # fmt: skip
    assert html.count("<script") == 1
    assert evil not in html
    assert "{{ 7 * 7 }}" in html


def test_a_large_report_folds_its_bulk(compared: Findings) -> None:
    victims = [replace(compared.audits[0].victim, name=f"victim {i}", url=f"grpc://{i}") for i in range(5)]
    first = compared.audits[0]
    plain = replace(first, figures=(), result=replace(first.result, most_exposed=(), least_exposed=()))
    attacks = [replace(first.attack, name=f"attack {j}") for j in range(5)]
    audits = tuple(replace(plain, victim=victim, attack=attack) for victim in victims for attack in attacks)
    html = render(replace(compared, audits=audits))
    assert "<summary>All 25 audits beside their null controls</summary>" in html
    assert html.count('class="cell ') == 25
    assert len(html.encode()) < 60_000 * 25
