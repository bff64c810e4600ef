"""Every audit of membership judged: its scores evaluated, its controls judged, its verdict said."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.evidence.controls import BLIND, EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.models.job import TWIN, VICTIM
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Effect
from latentprint.attack_engine.questions.membership.candidates import judge_candidates
from latentprint.attack_engine.questions.membership.controls import (
    AUC,
    CHANCE,
    LOOK_ERROR,
    NullControl,
    assess_validity,
    null_control,
)
from latentprint.attack_engine.questions.membership.evaluate import evaluate
from latentprint.attack_engine.questions.membership.exposure import exposed
from latentprint.attack_engine.questions.membership.judge import audit_verdict
from latentprint.attack_engine.questions.membership.looks import leak_evidence
from latentprint.attack_engine.questions.membership.results import (
    Artefact,
    Evaluation,
    MembershipFinding,
    MembershipResult,
    Sweep,
    SweepPoint,
)
from latentprint.attack_engine.questions.membership.samples import ExaminedSamples, examine_samples
from latentprint.attack_engine.questions.membership.wording import IMAGES_PAIR
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.decision import decision_metrics
from latentprint.attack_engine.statistics.discoveries import discover
from latentprint.attack_engine.statistics.estimates import Difference, Discoveries
from latentprint.attack_engine.statistics.paired import paired_difference
from latentprint.core.splits import KNOWN

_SCORES = 3  # what a seed is used for tells its streams apart; 1 is the fits' own, 2 the samples'


def judge_membership(
    audits: Sequence[Audit], controls: int, examined: Mapping[str, ExaminedSamples]
) -> list[MembershipFinding]:
    """See `Question.judge`; samples that were not examined before are examined once for all audits of them."""
    samples = examined_samples(audits, examined)
    return [finding_of(audit, samples[audit.split.digest], controls) for audit in audits]


def examined_samples(audits: Sequence[Audit], examined: Mapping[str, ExaminedSamples]) -> Mapping[str, ExaminedSamples]:
    """What is found of the samples of each split, by its digest; what was examined before is taken from `examined`."""
    one_of_each = {audit.split.digest: audit for audit in audits}
    return {
        digest: examined.get(digest) or examine_samples(audit.dataset, audit.split, audit.seed)
        for digest, audit in one_of_each.items()
    }


def finding_of(audit: Audit, samples: ExaminedSamples, controls: int, pair: str = IMAGES_PAIR) -> MembershipFinding:
    """One audit judged, whatever is scored in it: samples, or units of several.

    Args:
        audit: with its scores.
        samples: what was found of them before.
        controls: null controls in all audits of the report together.
        pair: one member and one non-member, in words.
    """
    scores, rows = audit.stored.scores, audit.rows
    evaluation_rng, difference_rng = np.random.default_rng([audit.seed, _SCORES]).spawn(2)
    evaluation = evaluate(*scores.scored.sides, called=scores.scored.called_sides, rng=evaluation_rng)
    null_controls = list(_null_controls(audit, controls))
    validity = assess_validity(
        evaluation,
        null_controls,
        controls_in_report=controls,
        blind=samples.blind.baseline,
        split_test=samples.test,
        differences=tuple(_differences(evaluation, audit, samples, difference_rng)),
        expected=(UNTRAINED, PLACEBO, EXCHANGED),
        split_by=audit.split.split_by,
        unreadable=scores.unreadable,
    )
    in_header = tuple(one.control for one in null_controls)
    verdict = audit_verdict(evaluation, in_header, validity, pair)
    most, least = exposed(scores.scored, samples.dataset, audit.split)
    known = [0 if audit.shadow else len(rows.ids(member=side, role=KNOWN)) for side in (True, False)]
    return MembershipFinding(
        question=audit.question,
        victim=audit.victim,
        attack=audit.attack_description,
        effect=Effect.of(AUC, evaluation.auc, CHANCE),
        p_value=leak_evidence(evaluation, validity).p_value,
        controls=in_header,
        verdict=verdict,
        queries=audit.stored.queries,
        digests=audit.digests,
        figures=audit.attack.reading.worded(scores.figures),
        seed=audit.seed,
        result=MembershipResult(
            evaluation=evaluation,
            validity=validity,
            discoveries=_discoveries(scores, audit.fdr) if verdict.outcome.claims else None,
            most_exposed=most,
            least_exposed=least,
            known_members=known[0],
            known_non_members=known[1],
            sweeps=tuple(_sweeps(scores)),
            artefacts=tuple(_artefacts(scores)),
            candidates=judge_candidates(audit, samples, verdict),
        ),
    )


def _discoveries(scores: AuditScores, fdr: float) -> Discoveries | None:
    if scores.p_values is None:
        return None
    return discover(scores.scored.sample_id, scores.scored.member, scores.p_values, fdr=fdr)


def _sweeps(scores: AuditScores) -> Iterator[Sweep]:
    for name in dict.fromkeys(swept.name for swept in scores.sweeps):
        points = [_estimates(swept.scored, swept.x) for swept in scores.sweeps if swept.name == name]
        yield Sweep(name, tuple(points))


def _estimates(scored: Scored, x: float = 0.0) -> SweepPoint:
    accuracy = decision_metrics(*scored.called_sides).balanced_accuracy
    return SweepPoint(x, estimate_auc(*scored.sides), accuracy)


def _artefacts(scores: AuditScores) -> Iterator[Artefact]:
    alike = {VICTIM: scores.scored, TWIN: scores.controls.get(UNTRAINED)}
    for side, scored in scores.treated.items():
        same = alike[side]
        if same is not None:
            first, second = _estimates(same), _estimates(scored)
            yield Artefact(
                trained=side == VICTIM,
                members=int(np.count_nonzero(scored.member)),
                non_members=int(np.count_nonzero(~scored.member)),
                alike=first.auc,
                alike_accuracy=first.balanced_accuracy,
                as_published=second.auc,
                as_published_accuracy=second.balanced_accuracy,
            )


def _null_controls(audit: Audit, controls: int) -> Iterator[NullControl]:
    for name, scored in audit.stored.scores.controls.items():
        yield null_control(name, audit.described[name], *scored.sides, controls_in_report=controls)


def _differences(
    evaluation: Evaluation, audit: Audit, samples: ExaminedSamples, rng: np.random.Generator
) -> Iterator[Difference]:
    """The attack less each control that scored the same samples, the blind baseline among them.

    The tail is compared where it shows anything at all: only there can a comparison change what is said.
    """
    scores = audit.stored.scores
    scored, tail = scores.scored, evaluation.tail
    allowed = tail.false_positives if tail is not None and tail.p_value <= LOOK_ERROR else None
    for name, control in scores.controls.items():
        if not np.array_equal(control.sample_id, scored.sample_id):
            continue
        yield paired_difference(name, scored.sides, control.sides, false_positives=allowed, rng=rng)
    blind = samples.blind_scores(audit.rows, audit.split)[audit.rows.role != KNOWN]
    sides = blind[scored.member], blind[~scored.member]
    yield paired_difference(BLIND, scored.sides, sides, false_positives=allowed, rng=rng)
