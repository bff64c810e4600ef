"""Every audit of users judged: as one of membership whose samples are users, and what is said of groups and each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np

from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.users.unit_reading import SHARE, UnitReading
from latentprint.attack_engine.inference.base import Membership
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.membership.exposure import row_name
from latentprint.attack_engine.questions.membership.judging import examined_samples, finding_of
from latentprint.attack_engine.questions.membership.results import MembershipResult
from latentprint.attack_engine.questions.membership.samples import ExaminedSamples
from latentprint.attack_engine.questions.users.question import USERS_PAIR
from latentprint.attack_engine.questions.users.results import GroupRate, UserAnswer, UsersFinding, UsersResult
from latentprint.attack_engine.statistics.binomial import clopper_pearson
from latentprint.attack_engine.statistics.calibration import PRIOR, Calibration

TRAINING, NON_TRAINING, MEMBERS, NON_MEMBERS = "training members", "non-training members", "members", "non-members"
_LEVEL = 0.95


def judge_users(audits: Sequence[Audit], controls: int, examined: Mapping[str, ExaminedSamples]) -> list[UsersFinding]:
    """See `Question.judge`."""
    samples = examined_samples(audits, examined)
    return [_finding(audit, samples[audit.split.digest], controls) for audit in audits]


def _finding(audit: Audit, samples: ExaminedSamples, controls: int) -> UsersFinding:
    found = finding_of(audit, samples, controls, USERS_PAIR)
    common = {one.name: getattr(found.result, one.name) for one in fields(MembershipResult)}
    reading, scores = audit.attack.reading, audit.stored.scores
    if not isinstance(reading, UnitReading):
        raise TypeError(f"{audit.attack.name} answers the question of users and reads no units")
    result = UsersResult(
        **common,
        images=reading.images,
        share=reading.share,
        groups=tuple(_groups(audit, reading, scores)),
        users=tuple(_users(audit, samples, scores)),
        prior=PRIOR,
        calibrated_on=_calibrated_on(scores),
    )
    header = {one.name: getattr(found, one.name) for one in fields(found)}
    return UsersFinding(**header | {"result": result})


def _groups(audit: Audit, reading: UnitReading, scores: AuditScores) -> Iterator[GroupRate]:
    """Of members by what their probe images are, and of non-members, whose are the same whatever the share."""
    by_share = {swept.x: swept.scored for swept in scores.sweeps if swept.name == SHARE}
    if not audit.split.trained.any():
        yield _rate(MEMBERS, scores.scored.called_sides[0])
    else:
        by_share.setdefault(reading.share, scores.scored)
        for group, share in ((TRAINING, 1.0), (NON_TRAINING, 0.0)):
            if share in by_share:
                yield _rate(group, by_share[share].called_sides[0])
        if reading.share not in (0.0, 1.0):
            yield _rate(MEMBERS, scores.scored.called_sides[0])
    yield _rate(NON_MEMBERS, scores.scored.called_sides[1])


def _rate(group: str, called: Membership) -> GroupRate:
    users, named = len(called), int(np.count_nonzero(called))
    return GroupRate(group, users, named, named / users, clopper_pearson(named, users, _LEVEL))


def _users(audit: Audit, samples: ExaminedSamples, scores: AuditScores) -> Iterator[UserAnswer]:
    scored = scores.scored
    probability = None if scores.known is None else Calibration.of(*scores.known.sides).probability(scored.score)
    called = _called(scored)
    for row in np.argsort(-scored.score, kind="stable"):
        user = int(scored.sample_id[row])
        yield UserAnswer(
            user,
            row_name(samples.dataset, audit.split, user),
            bool(scored.member[row]),
            float(scored.score[row]),
            bool(called[row]),
            None if probability is None else float(probability[row]),
            None if scores.p_values is None else float(scores.p_values[row]),
        )


def _called(scored: Scored) -> Membership:
    return scored.score >= scored.threshold if scored.called is None else scored.called


def _calibrated_on(scores: AuditScores) -> str:
    if scores.known is None:
        return ""
    return "known users" if scores.p_values is not None else "the shadow model's users"
