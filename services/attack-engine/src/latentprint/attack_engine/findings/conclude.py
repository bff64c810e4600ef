"""From cells to findings: every cell evaluated, all null controls judged as one family, one verdict over the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.audits.gather import TWIN, VICTIM
from latentprint.attack_engine.evidence.controls import BLIND, EXCHANGED, PLACEBO, UNTRAINED
from latentprint.attack_engine.findings.results import Findings, Published
from latentprint.attack_engine.questions.audited import AuditedCell
from latentprint.attack_engine.questions.membership.controls import LOOK_ERROR, assess_validity, null_control
from latentprint.attack_engine.questions.membership.evaluate import evaluate
from latentprint.attack_engine.questions.membership.exposure import exposed
from latentprint.attack_engine.questions.membership.judge import audit_verdict
from latentprint.attack_engine.questions.membership.overall import overall_verdict
from latentprint.attack_engine.questions.membership.results import (
    Artefact,
    Audit,
    Evaluation,
    NullControl,
    Sweep,
    SweepPoint,
)
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.blind import Blind, blind_baseline
from latentprint.attack_engine.statistics.decision import decision_metrics
from latentprint.attack_engine.statistics.discoveries import discover
from latentprint.attack_engine.statistics.estimates import Difference, Discoveries, SplitTest
from latentprint.attack_engine.statistics.figures import Correlations, Curves, NamedHistogram, SequenceFigures
from latentprint.attack_engine.statistics.paired import paired_difference
from latentprint.attack_engine.statistics.split_test import split_test
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.splits import KNOWN, Split
from latentprint.core.versions import versions

_IMAGES, _SCORES = 2, 3  # what a seed is used for tells its streams apart; 1 is the fits' own
_LIBRARIES = ("latentprint-attack-engine", "latentprint-core", "latentprint-trainer", "numpy", "ray", "scipy", "torch")


@dataclass(frozen=True)
class Alikeness:
    """Whether a split's two sides look alike: blind baseline and split test, and the blind scores by sample."""

    dataset: Dataset
    blind: Blind
    test: SplitTest
    scores: Mapping[int, float]


def conclude(
    title: str,
    cells: Sequence[AuditedCell],
    configuration: Mapping[str, Any],
    *,
    scale: str = "",
    published: Sequence[Published] = (),
    judged: Mapping[str, Alikeness] = MappingProxyType({}),
) -> Findings:
    """Evaluate and judge `cells` as one report; the same cells give the same findings, whenever they are judged.

    `judged` holds what was found of a split's samples before, by its digest.
    """
    controls = sum(len(cell.stored.cell.controls) for cell in cells)
    one_of_each = {cell.split.digest: cell for cell in cells}
    alike = {
        digest: judged.get(digest) or look_alike(cell.dataset, cell.split, cell.seed)
        for digest, cell in one_of_each.items()
    }
    audits = tuple(_audit(cell, alike[cell.split.digest], controls) for cell in cells)
    return Findings(
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=overall_verdict(audits),
        audits=audits,
        configuration=configuration,
        versions=versions(*_LIBRARIES),
        scale=scale,
        published=tuple(published),
        artefacts=tuple(
            artefact for cell, audit in zip(cells, audits, strict=True) for artefact in _artefacts(cell, audit)
        ),
    )


def look_alike(spec: DatasetSpec, split: Split, seed: int) -> Alikeness:
    """Whether all the split's samples, of both roles, look drawn alike; nothing is asked for it."""
    dataset = spec.open()
    ids = [split.ids(member=member) for member in (True, False)]
    units = split.unit[split.member], split.unit[~split.member]
    members, non_members = (dataset.images(side) for side in ids)
    blind_rng, test_rng = np.random.default_rng([seed, _IMAGES]).spawn(2)
    blind = blind_baseline(members, non_members, rng=blind_rng, units=units)
    scores = np.concatenate([blind.member_scores, blind.non_member_scores])
    by_sample = dict(zip(np.concatenate(ids).tolist(), scores.tolist(), strict=True))
    return Alikeness(dataset, blind, split_test(members, non_members, rng=test_rng, units=units), by_sample)


def _audit(cell: AuditedCell, alike: Alikeness, controls: int) -> Audit:
    scores, split = cell.stored.cell, cell.split
    evaluation_rng, excess_rng = np.random.default_rng([cell.seed, _SCORES]).spawn(2)
    scored = scores.scored
    evaluation = evaluate(*scored.sides, called=scored.called_sides, rng=evaluation_rng)
    validity = assess_validity(
        evaluation,
        list(_null_controls(cell, controls)),
        controls_in_report=controls,
        blind=alike.blind.baseline,
        split_test=alike.test,
        differences=tuple(_differences(evaluation, scores, alike, excess_rng)),
        expected=(UNTRAINED, PLACEBO, EXCHANGED),
        split_by=split.split_by,
        constant=scores.constant,
    )
    verdict = audit_verdict(evaluation, validity)
    most, least = exposed(scored, alike.dataset)
    return Audit(
        victim=cell.victim,
        attack=cell.attack.name,
        attack_summary=cell.attack.summary,
        attack_source=cell.attack.source,
        evaluation=evaluation,
        validity=validity,
        verdict=verdict,
        discoveries=_discoveries(scores) if verdict.outcome.claims_leak else None,
        most_exposed=most,
        least_exposed=least,
        curves=tuple(figure for figure in cell.attack.reading.worded(scores.figures) if isinstance(figure, Curves)),
        queries=cell.stored.queries,
        known_members=0 if cell.shadow else len(split.ids(member=True, role=KNOWN)),
        known_non_members=0 if cell.shadow else len(split.ids(member=False, role=KNOWN)),
        seed=cell.seed,
        split_digest=split.digest,
        dataset_digest=split.dataset_digest,
        shadow=cell.shadow,
        sweeps=tuple(_sweeps(scores)),
        sequences=_sequences(scores),
    )


def _sequences(scores: AuditScores) -> SequenceFigures | None:
    correlations = [figure for figure in scores.figures if isinstance(figure, Correlations)]
    histograms = tuple(figure for figure in scores.figures if isinstance(figure, NamedHistogram))
    return SequenceFigures(correlations[0], histograms) if correlations else None


def _discoveries(scores: AuditScores) -> Discoveries | None:
    if scores.p_values is None:
        return None
    return discover(scores.scored.sample_id, scores.scored.member, scores.p_values)


def _sweeps(scores: AuditScores) -> Iterator[Sweep]:
    for name in dict.fromkeys(swept.name for swept in scores.sweeps):
        points = [_estimates(swept.scored, swept.x) for swept in scores.sweeps if swept.name == name]
        yield Sweep(name, tuple(points))


def _estimates(scored: Scored, x: float = 0.0) -> SweepPoint:
    sides = scored.sides
    accuracy = decision_metrics(*scored.called_sides).balanced_accuracy
    return SweepPoint(x, estimate_auc(*sides), accuracy)


def _artefacts(cell: AuditedCell, audit: Audit) -> Iterator[Artefact]:
    alike = {VICTIM: cell.stored.cell.scored, TWIN: cell.stored.cell.controls.get(UNTRAINED)}
    for side, scored in cell.stored.cell.treated.items():
        same = alike[side]
        if same is not None:
            first, second = _estimates(same), _estimates(scored)
            yield Artefact(
                victim=audit.victim.name,
                attack=audit.attack,
                trained=side == VICTIM,
                members=int(np.count_nonzero(scored.member)),
                non_members=int(np.count_nonzero(~scored.member)),
                alike=first.auc,
                alike_accuracy=first.balanced_accuracy,
                as_published=second.auc,
                as_published_accuracy=second.balanced_accuracy,
            )


def _null_controls(cell: AuditedCell, controls: int) -> Iterator[NullControl]:
    for name, scored in cell.stored.cell.controls.items():
        yield null_control(name, cell.described[name], *scored.sides, controls_in_report=controls)


def _differences(
    evaluation: Evaluation, scores: AuditScores, alike: Alikeness, rng: np.random.Generator
) -> Iterator[Difference]:
    """The attack less each control that scored the same samples, the blind baseline among them.

    The tail is compared where it shows anything at all: only there can a comparison change what is said.
    """
    scored, tail = scores.scored, evaluation.tail
    allowed = tail.false_positives if tail is not None and tail.p_value <= LOOK_ERROR else None
    for name, control in scores.controls.items():
        if not np.array_equal(control.sample_id, scored.sample_id):
            continue
        yield paired_difference(name, scored.sides, control.sides, false_positives=allowed, rng=rng)
    blind = np.array([alike.scores[int(sample)] for sample in scored.sample_id])
    sides = blind[scored.member], blind[~scored.member]
    yield paired_difference(BLIND, scored.sides, sides, false_positives=allowed, rng=rng)
