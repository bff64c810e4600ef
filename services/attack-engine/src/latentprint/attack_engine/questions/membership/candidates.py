"""What an audit says of candidates: how many of them were used, and who."""

import numpy as np

from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import ScoredCandidates
from latentprint.attack_engine.inference.base import Scores
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import Verdict
from latentprint.attack_engine.questions.membership.exposure import file_of
from latentprint.attack_engine.questions.membership.results import CalledCandidate, Candidates
from latentprint.attack_engine.questions.membership.samples import ExaminedSamples
from latentprint.attack_engine.statistics.calibration import Calibration, conformal_p_values
from latentprint.attack_engine.statistics.discoveries import discover
from latentprint.attack_engine.statistics.estimates import Usage
from latentprint.attack_engine.statistics.usage import CalledScores, estimate_usage, refused_usage


def judge_candidates(audit: Audit, samples: ExaminedSamples, verdict: Verdict) -> Candidates | None:
    """What the audit's scores say of its candidates; None where it has none.

    The evaluated samples tell what members and non-members score: the very scorer that scores candidates scored them,
    and it was fitted on neither. Where the verdict claims no leak, nothing is estimated and nobody is named.
    """
    scored = audit.stored.scores.candidates
    if scored is None:
        return None
    used = audit.split.used
    return Candidates(
        usage=_usage(audit.stored.scores, scored, verdict),
        fdr=audit.fdr,
        called=_called(audit, scored, samples) if verdict.outcome.claims else None,
        drawn_alike=samples.candidates,
        used=None if used is None else int(used.sum()),
    )


def candidate_columns(scores: AuditScores, candidates: ScoredCandidates) -> dict[str, Scores]:
    """Calibrated probability and p-value of each candidate, float64 [n], by name."""
    members, non_members = scores.scored.sides
    return {
        "probability": Calibration.of(members, non_members).probability(candidates.score),
        "p": conformal_p_values(candidates.score, non_members),
    }


def _usage(scores: AuditScores, candidates: ScoredCandidates, verdict: Verdict) -> Usage:
    groups = zip(scores.scored.sides, scores.scored.called_sides, strict=True)
    members, non_members = (CalledScores(score, called) for score, called in groups)
    asked = CalledScores(candidates.score, candidates.called)
    if verdict.outcome.claims:
        return estimate_usage(asked, members, non_members)
    return refused_usage(asked, members, non_members, f"the verdict on this audit claims no leak ({verdict.label}).")


def _called(audit: Audit, scored: ScoredCandidates, samples: ExaminedSamples) -> tuple[CalledCandidate, ...]:
    """Who is called a member, most certain first."""
    columns = candidate_columns(audit.stored.scores, scored)
    unknown = np.zeros(len(scored.sample_id), dtype=bool)
    found = discover(scored.sample_id, unknown, columns["p"], fdr=audit.fdr).sample_ids
    rows = {int(sample): row for row, sample in enumerate(scored.sample_id)}
    return tuple(
        CalledCandidate(
            sample,
            file_of(samples.dataset, sample),
            float(columns["probability"][rows[sample]]),
            float(columns["p"][rows[sample]]),
        )
        for sample in found
    )
