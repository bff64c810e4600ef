"""The judge of attributes: an attack has to beat every guess that does without the trained encoder."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.definition import ATTRIBUTES
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.evidence.controls import MAJORITY, PIXELS, UNTRAINED
from latentprint.attack_engine.questions.attributes.results import (
    AttributesFinding,
    AttributesResult,
    Baseline,
    ValueRecall,
)
from latentprint.attack_engine.questions.attributes.wording import attribute_verdict
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Control, Effect
from latentprint.attack_engine.statistics.binomial import clopper_pearson
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.attack_engine.statistics.excess import Right, paired_excess
from latentprint.core.datasets import Dataset
from latentprint.core.datasets.attributes import labelled
from latentprint.core.splits import KNOWN

EXCESS, ACCURACY = "accuracy above the closest baseline", "accuracy"
_BASELINES = (MAJORITY, PIXELS, UNTRAINED)


def judge_attributes(audits: Sequence[Audit]) -> list[AttributesFinding]:
    """See `Question.judge`."""
    specs = {audit.split.dataset_digest: audit.dataset for audit in audits}
    opened = {digest: spec.open() for digest, spec in specs.items()}
    return [_finding(audit, opened[audit.split.dataset_digest]) for audit in audits]


def _finding(audit: Audit, dataset: Dataset) -> AttributesFinding:
    """Above every baseline: an intersection-union test (Berger 1982), which needs no correction for their number."""
    scored, units = audit.stored.scores.scored, _units(audit)
    baselines = _baselines(audit, units)
    result = AttributesResult(
        attribute=audit.attack.reading.inferred,
        accuracy=_accuracy(_right(scored)),
        baselines=baselines,
        recalls=tuple(_recalls(audit, dataset)),
        known=int(np.count_nonzero(audit.split.role == KNOWN)),
        evaluated=len(scored.score),
        members=_accuracy(_right(scored)[scored.member]) if scored.member.any() else None,
        non_members=None if scored.member.all() else _accuracy(_right(scored)[~scored.member]),
        absent=tuple(name for name in _BASELINES if name not in audit.stored.scores.controls),
        unreadable=audit.stored.scores.unreadable,
    )
    return AttributesFinding(
        question=ATTRIBUTES,
        victim=audit.victim,
        attack=audit.attack_description,
        effect=Effect.of(EXCESS, baselines[0].excess, 0.0),
        p_value=baselines[0].p_value,
        controls=tuple(_controls(audit, baselines)),
        verdict=attribute_verdict(result),
        queries=audit.stored.queries,
        digests=audit.digests,
        figures=(),
        seed=audit.seed,
        result=result,
    )


def _baselines(audit: Audit, units: NDArray[np.int64]) -> tuple[Baseline, ...]:
    """Those that were run, the one that the attack beats least clearly first."""
    scores = audit.stored.scores
    right = _right(scores.scored)
    found = []
    for name in (one for one in _BASELINES if one in scores.controls):
        control = _right(scores.controls[name])
        found.append(Baseline(name, _accuracy(control), *paired_excess(right, control, units=units)))
    return tuple(sorted(found, key=lambda one: (-one.p_value, one.excess.value)))


def _controls(audit: Audit, baselines: Sequence[Baseline]) -> Iterator[Control]:
    """Each baseline with what it reaches by itself, held against the prevailing value's share."""
    prevailing = float(_right(audit.stored.scores.controls[MAJORITY]).mean())
    for one in baselines:
        yield Control(one.name, audit.described[one.name], Effect.of(ACCURACY, one.accuracy, prevailing), holds=True)


def _recalls(audit: Audit, dataset: Dataset) -> Iterator[ValueRecall]:
    attribute = labelled(dataset, audit.attack.reading.inferred)
    scored = audit.stored.scores.scored
    values = attribute.values[scored.sample_id]
    for value in np.unique(values):
        right = _right(scored)[values == value]
        yield ValueRecall(attribute.classes[value], right.size, float(right.mean()))


def _units(audit: Audit) -> NDArray[np.int64]:
    """The unit of every evaluated sample."""
    unit: NDArray[np.int64] = audit.split.unit[audit.split.role != KNOWN]
    return unit


def _right(scored: Scored) -> Right:
    return scored.score >= scored.threshold


def _accuracy(right: Right) -> Estimate:
    return Estimate(float(right.mean()), clopper_pearson(int(np.count_nonzero(right)), right.size))
