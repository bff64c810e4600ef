"""Every audit of ownership judged: its scores and its controls' tested, its verdict said."""

from collections.abc import Mapping, Sequence

import numpy as np

from latentprint.attack_engine.attacks.definition import OWNERSHIP
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.evidence.controls import ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Control, Effect
from latentprint.attack_engine.questions.membership.judging import examined_samples
from latentprint.attack_engine.questions.membership.samples import ExaminedSamples
from latentprint.attack_engine.questions.ownership.results import (
    SUSPECT,
    OwnershipFinding,
    OwnershipResult,
    PublishedPValues,
)
from latentprint.attack_engine.questions.ownership.verdicts import audit_verdict
from latentprint.attack_engine.statistics.estimates import MeanDifference
from latentprint.attack_engine.statistics.mean_difference import (
    detectable_difference,
    mean_difference,
    paired_mean_difference,
)
from latentprint.attack_engine.statistics.multiple_testing import FAMILY_ERROR
from latentprint.attack_engine.statistics.published_ownership import (
    SUBSETS,
    published_halved_p,
    published_resampled_p,
)
from latentprint.attack_engine.statistics.roc import score_histogram
from latentprint.core.splits import KNOWN

EFFECT, NOTHING = "standardised difference", 0.0
_SCORES = 3  # what a seed is used for tells its streams apart; 1 is the fits' own, 2 the samples'


def judge_ownership(
    audits: Sequence[Audit], controls: int, examined: Mapping[str, ExaminedSamples]
) -> list[OwnershipFinding]:
    """See `Question.judge`; samples that were not examined before are examined once for all audits of them."""
    samples = examined_samples(audits, examined)
    return [_finding(audit, samples[audit.split.digest], controls) for audit in audits]


def _finding(audit: Audit, samples: ExaminedSamples, controls: int) -> OwnershipFinding:
    scores = audit.stored.scores
    result = _result(audit, scores, samples, level=1.0 - FAMILY_ERROR / max(1, controls))
    in_header = tuple(_control(name, audit.described[name], difference) for name, difference in result.controls.items())
    return OwnershipFinding(
        question=OWNERSHIP,
        victim=audit.victim,
        attack=audit.attack_description,
        effect=Effect.of(EFFECT, result.difference.difference, NOTHING),
        p_value=max(one.p_value for one in (result.difference, *result.paired.values())),
        controls=in_header,
        verdict=audit_verdict(result, in_header),
        queries=audit.stored.queries,
        digests=audit.digests,
        figures=audit.attack.reading.worded(scores.figures),
        seed=audit.seed,
        result=result,
    )


def _result(audit: Audit, scores: AuditScores, samples: ExaminedSamples, level: float) -> OwnershipResult:
    """All that scores and samples say; `level` is of the negative controls' intervals."""
    tests, pairs, published = np.random.default_rng([audit.seed, _SCORES]).spawn(3)
    scored = scores.scored
    others = {name: one for name, one in scores.controls.items() if np.array_equal(one.sample_id, scored.sample_id)}
    sizes = [len(side) for side in scored.sides]
    return OwnershipResult(
        difference=mean_difference(*scored.sides, rng=tests),
        controls={
            name: mean_difference(*one.sides, rng=tests, level=0.95 if name == ORIGINAL else level)
            for name, one in others.items()
        },
        paired={
            name: paired_mean_difference(scored.sides, one.sides, rng=pairs)
            for name, one in others.items()
            if name != ORIGINAL
        },
        published={name: _published(one, published) for name, one in {SUSPECT: scored, **others}.items()},
        blind=samples.blind.baseline,
        split_test=samples.test,
        histogram=score_histogram(*scored.sides),
        known_private=len(audit.split.ids(member=True, role=KNOWN)),
        detectable=detectable_difference(sizes[0], sizes[1]),
        absent=tuple(name for name in (UNTRAINED, PLACEBO, ORIGINAL) if name not in others),
        split_by=audit.split.split_by,
        unreadable=scores.unreadable,
    )


def _control(name: str, description: str, difference: MeanDifference) -> Control:
    """The victim itself has to be flagged; any other encoder must not be, nor the reverse of it."""
    effect = Effect.of(EFFECT, difference.difference, NOTHING)
    if name == ORIGINAL:
        return Control(name, description, effect, difference.p_value <= FAMILY_ERROR, positive=True)
    return Control(name, description, effect, effect.contains_null)


def _published(scored: Scored, rng: np.random.Generator) -> PublishedPValues:
    if np.ptp(scored.score) == 0.0:  # a t-test of equal scores is no number
        return PublishedPValues(1.0, 1.0, SUBSETS)
    return PublishedPValues(published_halved_p(*scored.sides), published_resampled_p(*scored.sides, rng=rng), SUBSETS)
