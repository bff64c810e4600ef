"""The partial setting: fit on the samples whose membership is known, score the others. Selection never sees those."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.inference.base import BOTH_SIDES, MEMBERS_ALONE, Decider, Membership, Scores
from latentprint.attack_engine.inference.over_draws import Draws, DrawsScorer, OverDraws
from latentprint.attack_engine.statistics.auc import auc
from latentprint.attack_engine.statistics.calibration import conformal_p_values
from latentprint.core.datasets import Ids
from latentprint.core.errors import DataError
from latentprint.core.splits import EVALUATION, KNOWN, Split

_FOLDS = 5
_FEWEST_KNOWN = 10
_FEWEST_EVALUATED = 10


@dataclass(frozen=True)
class Scored:
    """Scores of the evaluated samples.

    Attributes:
        sample_id: int64 [E].
        member: bool [E].
        score: float64 [E], higher = member.
        threshold: the inference model's own decision: member where the score reaches it.
        called: bool [E], the decision where it is not that threshold; None where it is.
    """

    sample_id: Ids
    member: Membership
    score: Scores
    threshold: float
    called: Membership | None = None

    @property
    def sides(self) -> tuple[Scores, Scores]:
        """Scores of members and of non-members."""
        return self.score[self.member], self.score[~self.member]

    @property
    def called_sides(self) -> tuple[Membership, Membership]:
        """Who is called a member, of members and of non-members."""
        called = self.score >= self.threshold if self.called is None else self.called
        return called[self.member], called[~self.member]


def require_samples(split: Split, *, known: Sequence[bool] = BOTH_SIDES) -> None:
    """Raise `DataError` where a side has too few evaluated samples for any inference, or too few known ones.

    So too for units of several samples, whose scores are no independent ones. `known` are the sides of which samples
    have to be known, True for members.
    """
    if len(np.unique(split.unit)) < len(split.unit):
        raise DataError(
            f"The split's {len(split.unit)} samples belong to {len(np.unique(split.unit))} units, and the membership "
            "of samples is audited one by one: give a split whose units are single samples."
        )
    for member, word in ((True, "members"), (False, "non-members")):
        count = len(split.ids(member=member, role=KNOWN))
        evaluated = len(split.ids(member=member)) - count
        if (member in known and count < _FEWEST_KNOWN) or evaluated < _FEWEST_EVALUATED:
            raise DataError(
                f"The split has {count} known and {evaluated} evaluated {word}; an attack needs at least "
                f"{_FEWEST_KNOWN} known and {_FEWEST_EVALUATED} evaluated on each side. Add samples."
            )


def most_known(attacks: Iterable[Attack]) -> tuple[bool, ...]:
    """The sides of which some of `attacks` needs known samples."""
    return max((attack.known_sides for attack in attacks), key=len, default=())


def audited_split(attacks: Iterable[Attack], split: Split) -> Split:
    """`split` as `attacks` use it: where all are fitted on members alone, all non-members are evaluated."""
    if {attack.known_sides for attack in attacks} != {MEMBERS_ALONE}:
        return split
    return replace(split, role=np.where(split.member, split.role, EVALUATION))


def score_partial(inference: OverDraws, features: Draws, split: Split, rng: np.random.Generator) -> Scored:
    """Fit `inference` on the known rows of `features` (float32 [S, R, F], in the split's order), score the others."""
    known = split.role == KNOWN
    scorer = inference.fit(features[known], split.member[known], rng)
    return scored_by(scorer, features, split)


@dataclass(frozen=True)
class ScoredCandidates:
    """Scores of candidates, whose membership is asked for.

    Attributes:
        sample_id: int64 [n].
        score: float64 [n], higher = member.
        called: bool [n], the inference model's own decision.
    """

    sample_id: Ids
    score: Scores
    called: Membership


def candidates_scored_by(scorer: DrawsScorer, features: Draws, sample_id: Ids) -> ScoredCandidates:
    """Scores of candidates' features (float32 [n, R, F]), by the scorer of the evaluated samples."""
    return ScoredCandidates(sample_id, scorer.score(features), scorer.decide(features))


def scored_by(scorer: DrawsScorer, features: Draws, split: Split) -> Scored:
    """Scores of the evaluated rows of `features` (float32 [S, R, F], in the split's order)."""
    evaluated = split.role != KNOWN
    score = scorer.score(features[evaluated])
    called = scorer.decide(features[evaluated]) if isinstance(scorer.scorer, Decider) else None
    return Scored(split.sample_id[evaluated], split.member[evaluated], score, scorer.threshold, called)


@dataclass(frozen=True)
class Calibrated:
    """What is made of samples of known membership under models that were not fitted to them.

    Attributes:
        known: their scores, to calibrate probabilities on; its threshold decides nothing.
        p_values: float64 [E], of each evaluated sample for "not a member", in the order of `scored_by`; None where none
            of the known samples is the victim's.
    """

    known: Scored
    p_values: NDArray[np.float64] | None


def cross_fitted(inference: OverDraws, features: Draws, split: Split, rng: np.random.Generator) -> Calibrated:
    """Out-of-fold scores of the known samples, and p-values that the known non-members among them calibrate.

    Cross-conformal (Vovk 2015): each fold's non-members are compared with the evaluated samples under a model
    that never saw them, so a model's fit to its own training samples cannot pass for membership.
    """
    known = np.flatnonzero(split.role == KNOWN)
    evaluated = features[split.role != KNOWN]
    fold = _stratified_folds(split.member[known], rng)
    at_least, out_of_fold = np.ones(len(evaluated)), np.empty(len(known))
    for held_out in range(_FOLDS):
        rows, own = known[fold != held_out], fold == held_out
        scorer = inference.fit(features[rows], split.member[rows], rng)
        out_of_fold[own] = scorer.score(features[known[own]])
        if len(evaluated):
            reference = np.sort(out_of_fold[own & ~split.member[known]])
            at_least += len(reference) - np.searchsorted(reference, scorer.score(evaluated), side="left")
    p_values = at_least / (1 + np.count_nonzero(~split.member[known]))
    return Calibrated(Scored(split.sample_id[known], split.member[known], out_of_fold, 0.0), p_values)


def calibrated_by(scorer: DrawsScorer, features: Draws, split: Split) -> Calibrated | None:
    """The same for a scorer that was fitted to none of the split's samples; None where too few of them are known."""
    known = split.role == KNOWN
    member = split.member[known]
    if min(np.count_nonzero(member), np.count_nonzero(~member)) < _FEWEST_KNOWN:
        return None
    score = scorer.score(features[known])
    p_values = conformal_p_values(scorer.score(features[~known]), score[~member])
    return Calibrated(Scored(split.sample_id[known], member, score, 0.0), p_values)


def cross_validated_auc(inference: OverDraws, features: Draws, member: Membership, rng: np.random.Generator) -> float:
    """AUC of an attack over the known samples alone, for selection: no evaluated sample is needed, or seen.

    The mean over stratified folds; each fold's samples are ranked by one model, which was fitted to the others.

    Args:
        inference: what is fitted.
        features: float32 [K, R, F] of the known samples.
        member: bool [K], at least one of each side a fold.
        rng: folds and fits.
    """
    fold = _stratified_folds(member, rng)
    aucs = []
    for held_out in range(_FOLDS):
        rest, own = fold != held_out, fold == held_out
        score = inference.fit(features[rest], member[rest], rng).score(features[own])
        aucs.append(auc(score[member[own]], score[~member[own]]))
    return float(np.mean(aucs))


def with_less_known(split: Split, fraction: float, rng: np.random.Generator) -> Split:
    """The split with fewer known samples and the same evaluated ones.

    Args:
        split: the whole.
        fraction: of all members, and of all non-members, that stay known; at most what the split knows. Of two
            fractions with equal generators, the smaller's known samples are among the larger's.
        rng: which samples stay.

    Raises:
        DataError: the split knows fewer, or too few are left for any inference.
    """
    kept = split.role != KNOWN
    for member in (True, False):
        side = split.member == member
        known = rng.permutation(np.flatnonzero(side & (split.role == KNOWN)))
        wanted = round(fraction * np.count_nonzero(side))
        if wanted > len(known):
            raise DataError(
                f"A knowledge of {fraction:g} needs {wanted} known samples of a side; the split knows {len(known)}."
            )
        kept[known[:wanted]] = True
    less = Split(split.sample_id[kept], split.member[kept], split.role[kept], split.dataset_digest, split.seed)
    require_samples(less)
    return less


def exchanged(split: Split, rng: np.random.Generator, *, known: Sequence[bool] = BOTH_SIDES) -> Split | None:
    """The split's non-members alone, half of them in the members' role.

    None where they are too few, and where members alone are known: then no non-member is, to be fitted on.
    """
    if known == MEMBERS_ALONE:
        return None
    ids, roles, member = [], [], []
    for role in np.unique(split.role):
        chosen = rng.permutation(split.ids(member=False, role=str(role)))
        ids.append(chosen)
        roles.append(np.full(len(chosen), role))
        member.append(np.arange(len(chosen)) < len(chosen) // 2)
    drawn = Split(np.concatenate(ids), np.concatenate(member), np.concatenate(roles), split.dataset_digest, split.seed)
    try:
        require_samples(drawn, known=known)
    except DataError:
        return None
    return drawn


def _stratified_folds(member: Membership, rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(member), dtype=np.int64)
    for side in (True, False):
        rows = np.flatnonzero(member == side)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % _FOLDS
    return fold
