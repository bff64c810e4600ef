"""Readings: what each makes of the evidence, how options reach it, and that it looks at one sample at a time."""

from dataclasses import replace

import numpy as np
import pytest

from latentprint.attack_engine.attacks import ATTACKS, Attack, AttackChoice
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.attacks.membership.bavaria import bavaria_offline, bavaria_online
from latentprint.attack_engine.attacks.membership.enhanced_mia import loss_quantile
from latentprint.attack_engine.attacks.membership.lira import lira_offline, lira_online
from latentprint.attack_engine.attacks.membership.rmia import in_average_slope, rmia
from latentprint.attack_engine.evidence.disagreement import EMBEDDING_METRICS, FEATURE_MAP_METRICS
from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.evidence.posterior_metrics import METRICS, loss_of_phi, posterior_metrics, scaled_logit
from latentprint.attack_engine.evidence.types import Evidence, Population, ReferenceScores
from latentprint.attack_engine.inference.attention_lstm import AttentionLstm
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.errors import UsageError

SAMPLES, CLASSES, STEPS, MODELS = 30, 5, 6, 12
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, CLASSES, size=SAMPLES)
POSTERIOR = RNG.dirichlet(np.ones(CLASSES), size=SAMPLES).astype(np.float32)
SEQUENCE = RNG.normal(size=(SAMPLES, STEPS, len(METRICS))).astype(np.float32)
NAMES = [
    entry.name
    for entry in ATTACKS
    if entry.value.question == MEMBERSHIP
    and AttackChoice(entry.name).build(0).reading.fitted_on_shadow
    and entry.name != "label-only"  # which asks a sample more than once: test_label_only.py
]


def said(samples: int) -> ReferenceScores:
    inside = np.argsort(RNG.random((MODELS, samples)), axis=0) < MODELS // 2
    return ReferenceScores(RNG.normal(size=(MODELS, samples)).astype(np.float32), inside)


OTHERS = Population(RNG.dirichlet(np.ones(CLASSES), size=25).astype(np.float32), RNG.integers(0, CLASSES, 25), said(25))
SAID = said(SAMPLES)
SLOPE = in_average_slope(SAID.phi, SAID.inside)
ANSWERS = PlainAnswer("posterior").name
EVIDENCE = Evidence({ANSWERS: POSTERIOR}, {}, LABEL, SEQUENCE, METRICS, SAID, OTHERS)
PHI = scaled_logit(POSTERIOR, LABEL)


def built(name: str, options: dict | None = None, **further: object) -> Attack:
    return AttackChoice(name, options or {}, **further).build(3)


def read(name: str, options: dict | None = None, evidence: Evidence = EVIDENCE) -> np.ndarray:
    features = built(name, options).features(evidence)
    assert features.dtype == np.float32
    assert features.shape[:2] == (len(evidence.label), 1)
    return features[:, 0]


def of_encoder(maps: bool = False) -> Evidence:
    metrics = FEATURE_MAP_METRICS if maps else EMBEDDING_METRICS
    return Evidence({}, label=LABEL, sequence=np.dstack([SEQUENCE, SEQUENCE])[..., : len(metrics)], metrics=metrics)


def test_shadow_training_reads_the_sorted_posterior() -> None:
    np.testing.assert_array_equal(read("st"), np.sort(POSTERIOR, axis=1)[:, ::-1])
    np.testing.assert_array_equal(read("st", {"largest": 2}), np.sort(POSTERIOR, axis=1)[:, :-3:-1])
    right = POSTERIOR.argmax(axis=1) == LABEL
    assert 0 < right.sum() < SAMPLES
    np.testing.assert_array_equal(read("st-top-2"), np.column_stack([read("st", {"largest": 2}), right]))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_larger_for_members_and_stands_beside_its_class(metric: str) -> None:
    values = posterior_metrics(POSTERIOR, LABEL)[:, METRICS.index(metric)]
    sign = 1 if metric in ("max", "sd") else -1
    np.testing.assert_allclose(read("mba-entropy", {"metric": metric}), np.stack([sign * values, LABEL], axis=1), 1e-6)
    sure = np.eye(2, dtype=np.float32)[[0, 0]] * 0.98 + 0.01
    pair = read(
        "mba-entropy", {"metric": metric}, Evidence({ANSWERS: np.stack([sure[0], [0.5, 0.5]])}, label=np.array([0, 0]))
    )
    assert pair[0, 0] > pair[1, 0]


@pytest.mark.parametrize(
    ("name", "metric"), [("mba-entropy", "entropy"), ("mba-m-entropy", "m-entropy"), ("mba-confidence", "loss")]
)
def test_each_metric_attack_reads_its_own(name: str, metric: str) -> None:
    np.testing.assert_array_equal(read(name), read(name, {"metric": metric}))


def test_sequences_are_read_step_by_step() -> None:
    np.testing.assert_array_equal(read("seqmia"), SEQUENCE.reshape(SAMPLES, -1))
    np.testing.assert_array_equal(read("seqmia-transformer"), read("seqmia"))
    np.testing.assert_array_equal(read("trajectorymia"), SEQUENCE[..., 0])
    chosen = read("seqmia", {"metrics": ["entropy", "loss"], "snapshots": 2})
    np.testing.assert_array_equal(chosen, SEQUENCE[:, [0, 1, -1]][..., [3, 0]].reshape(SAMPLES, -1))
    shuffled = read("seqmia", {"shuffled": True}).reshape(SEQUENCE.shape)
    order = np.random.default_rng(3).permutation(STEPS)
    np.testing.assert_array_equal(shuffled, SEQUENCE[:, order])


def test_disagreement_is_read_step_by_step() -> None:
    evidence = of_encoder()
    assert evidence.sequence is not None
    np.testing.assert_array_equal(read("seqmia-encoder", {}, evidence), evidence.sequence.reshape(SAMPLES, -1))
    one = read("seqmia-encoder", {"metrics": ["overlap", "l2"]}, evidence)
    np.testing.assert_array_equal(one, evidence.sequence[..., [3, 1]].reshape(SAMPLES, -1))


COMPARED = {
    "lira": ({}, lambda: lira_offline(PHI[:, None], SAID.phi[..., None], SAID.inside)),
    "lira-online": ({}, lambda: lira_online(PHI[:, None], SAID.phi[..., None], SAID.inside)),
    "lira, global": (
        {"variance": "global"},
        lambda: lira_offline(PHI[:, None], SAID.phi[..., None], SAID.inside, variance="global"),
    ),
    "bavaria": ({}, lambda: bavaria_offline(PHI[:, None], SAID.phi[..., None], SAID.inside)),
    "bavaria-online": (
        {"predictive": "n"},
        lambda: bavaria_online(PHI[:, None], SAID.phi[..., None], SAID.inside, predictive="n"),
    ),
    "enhancedmia-r": ({}, lambda: loss_quantile(loss_of_phi(PHI), loss_of_phi(SAID.phi), ~SAID.inside)),
    "enhancedmia-d": (
        {"distribution": "gaussian"},
        lambda: loss_quantile(loss_of_phi(PHI), loss_of_phi(SAID.phi), ~SAID.inside, distribution="gaussian"),
    ),
    "rmia": ({"a": 0.2, "gamma": 1.5}, lambda: compared_with_others(offline=True, a=0.2, gamma=1.5)),
    "rmia-online": (
        {},
        lambda: compared_with_others(offline=False, a=in_average_slope(SAID.phi, SAID.inside), gamma=2.0),
    ),
}


def compared_with_others(**options: float) -> np.ndarray:
    phi = scaled_logit(OTHERS.posterior, OTHERS.label)
    return rmia(PHI, SAID.phi, SAID.inside, phi, OTHERS.references.phi, OTHERS.references.inside, **options)


@pytest.mark.parametrize("case", COMPARED)
def test_comparisons_with_references_are_those_of_the_papers(case: str) -> None:
    options, expected = COMPARED[case]
    np.testing.assert_allclose(read(case.split(",")[0], options)[:, 0], expected(), rtol=1e-5, atol=1e-30)


OVER_ALL = {"bavaria", "bavaria-online"}  # whose prior is estimated from all samples


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_of_a_sample_does_not_depend_on_the_others(name: str) -> None:
    evidence = of_encoder() if name == "seqmia-encoder" else EVIDENCE
    rows = np.array([7, 2, 19])
    some = replace(
        evidence,
        label=LABEL[rows],
        values={ANSWERS: POSTERIOR[rows]},
        sequence=None if evidence.sequence is None else evidence.sequence[rows],
        references=ReferenceScores(SAID.phi[:, rows], SAID.inside[:, rows]),
    )
    whole = read(name, {}, evidence)[rows]
    alone = read(name, {}, some)
    if name in OVER_ALL:
        assert not np.allclose(alone, whole)
    else:
        np.testing.assert_allclose(alone, whole, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_with_a_reading_asks_a_sample_once(name: str) -> None:
    attack = built(name)
    output = "embedding" if name == "seqmia-encoder" else "posterior"
    assert attack.signals == (PlainAnswer(output),)
    assert attack.outputs == (output,)
    assert attack.unfitted == name.endswith("-online") == isinstance(attack.inference, Fixed)
    assert repr(attack) == repr(built(name))


@pytest.mark.parametrize("name", ["lira-online", "bavaria-online", "rmia-online"])
def test_other_options_of_references_leave_an_online_attack_online(name: str) -> None:
    wanted = built(name, {"references": {"count": 4}}).reading.references
    assert (wanted.count, wanted.online, wanted.kind) == (4, True, "trained")
    assert not built(name.removesuffix("-online"), {"references": {"count": 4}}).reading.references.online


def test_other_options_of_references_leave_attack_d_distilled() -> None:
    given = {"references": {"count": 3, "distillation": {"epochs": 2}}}
    wanted = built("enhancedmia-d", given).reading.references
    assert (wanted.count, wanted.kind, wanted.distillation) == (3, "distilled", Distillation(epochs=2))


def test_other_options_of_the_distillation_leave_an_encoder_imitated_as_one() -> None:
    usual = built("seqmia-encoder").reading.distillation
    assert (usual.output, usual.optimiser, usual.epochs) == ("embedding", "adamw", 50)
    assert built("seqmia-encoder", {"distillation": {"epochs": 2}}).reading.distillation == replace(usual, epochs=2)
    maps = built("seqmia-encoder", {"distillation": {"output": "feature_map"}}).reading
    assert maps.distillation == replace(usual, output="feature_map")
    assert maps.signals == (PlainAnswer("feature_map"),)


@pytest.mark.parametrize(
    ("name", "options", "channels"),
    [
        ("seqmia", {}, 5),
        ("seqmia", {"metrics": ["loss", "max"]}, 2),
        ("seqmia-transformer", {"metrics": ["sd"]}, 1),
        ("seqmia-encoder", {}, 4),
        ("seqmia-encoder", {"distillation": {"output": "feature_map"}}, 6),
        ("seqmia-encoder", {"metrics": ["norm"]}, 1),
    ],
)
def test_the_inference_model_reads_as_many_channels_as_there_are_metrics(name, options, channels) -> None:
    assert built(name, options).inference.channels == channels


def test_an_inference_model_that_is_asked_for_gets_its_channels_too() -> None:
    attack = built("trajectorymia", inference="attention-lstm", inference_options={"hidden": 7})
    assert attack.inference == AttentionLstm(channels=1, hidden=7)
    given = built("seqmia", inference="attention-lstm", inference_options={"channels": 10})
    assert given.inference == AttentionLstm(channels=10)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mba-entropy", {"metric": "entropie"}, "metric .*entropie.*'entropy'"),
        ("seqmia", {"metrics": ["loss", "los"]}, "metric .*los.*'loss'"),
        ("seqmia", {"metrics": ["loss", "loss"]}, "each once"),
        ("seqmia", {"metrics": []}, "at least one metric"),
        ("seqmia-encoder", {"metrics": ["cosin"]}, "metric .*cosin.*'cosine'"),
        ("seqmia-encoder", {"metrics": ["cosine", "cosine"]}, "each once"),
        ("seqmia-encoder", {"metrics": ["uniform-energy"]}, "metric .*uniform-energy"),
        ("seqmia-encoder", {"distillation": {"output": "posterior"}}, "for posteriors there is seqmia"),
        ("seqmia", {"distillation": {"output": "embedding"}}, "there is seqmia-encoder"),
        ("lira", {"reference": {}}, "unknown key 'reference'.*'references'"),
        ("lira", {"references": {"counts": 3}}, "unknown key 'counts'.*'count'"),
        ("rmia", {"references": {"kind": "distilled"}}, "rmia: its population taught the distilled references"),
        ("seqmia+st", {}, "cannot be joined with '\\+'"),
        ("supervisedmi+lira", {}, "cannot be joined with '\\+'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        built(name, options)


def test_evidence_that_is_not_there_is_the_callers_mistake() -> None:
    for name in NAMES:
        with pytest.raises((KeyError, ValueError), match=r"without|answer-posterior"):
            read(name, {}, Evidence({}, label=LABEL))
    with pytest.raises(KeyError, match="answer-embedding"):
        built("supervisedmi").features(EVIDENCE)


def test_inference_options_change_what_they_name_and_nothing_else():
    choice = AttackChoice("rmia-online", inference_options={"threshold": 0.7})
    assert choice.build(0).inference == Fixed(threshold=0.7)
    short = AttackChoice("encodermi", inference_options={"epochs": 3}).build(0).inference
    assert short == replace(AttackChoice("encodermi").build(0).inference, epochs=3)


@pytest.mark.parametrize(("name", "online"), [("lira-online", False), ("lira", True), ("rmia", True)])
def test_references_that_do_not_fit_the_decision_are_refused(name, online):
    with pytest.raises(UsageError, match="Name the other form"):
        AttackChoice(name, {"references": {"online": online}}).build(0)
