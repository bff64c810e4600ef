"""The scores of a victim under an attack, and of the same attack where nothing can leak."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.attacks.fitting.knowledge import EXCHANGE, FIT, SWEEP, TREATED, Knowledge
from latentprint.attack_engine.attacks.fitting.label_control import label_scores
from latentprint.attack_engine.attacks.fitting.scoring import (
    Scored,
    ScoredCandidates,
    candidates_scored_by,
    exchanged,
    require_samples,
    scored_by,
)
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice, Swept, sweep
from latentprint.attack_engine.attacks.reading import same_within_rounding
from latentprint.attack_engine.evidence.controls import EXCHANGED, LABELS, ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.base import BOTH_SIDES, Features
from latentprint.attack_engine.inference.over_draws import Draws, DrawsScorer
from latentprint.attack_engine.statistics.figures import Figure
from latentprint.attack_engine.statistics.mean_curves import mean_curves
from latentprint.core.splits import KNOWN, Split

CONSTANT = "the attack reads the same from every sample, so that it cannot tell any from another."
_ATTENTION = ("Attention over the steps", "step, as the attack reads them", "mean weight")


@dataclass(frozen=True)
class AuditScores:
    """What an attack gave.

    Attributes:
        scored: scores of the evaluated samples.
        p_values: float64 [E], calibrated p-value of each evaluated sample for "not a member"; None where no sample of
            this victim is known to calibrate on.
        controls: scores of the controls, by name.
        figures: what is drawn of the evaluated samples.
        sweeps: scores with less knowledge, or fewer queries, or what else the attack's reading varies.
        treated: scores with members and non-members treated differently, by side ("victim", "twin").
        candidates: scores of the split's candidates; None where it has none.
        unreadable: why there is nothing to read, for every sample reads, or scores, the same; "" where there is.
        known: scores of samples whose membership is known under models not fitted to them, to calibrate probabilities
            on: the victim's, or the shadow model's; None where there are none.
    """

    scored: Scored
    p_values: NDArray[np.float64] | None
    controls: Mapping[str, Scored]
    figures: tuple[Figure, ...] = ()
    sweeps: tuple[Swept, ...] = ()
    treated: Mapping[str, Scored] = field(default_factory=dict)
    unreadable: str = ""
    candidates: ScoredCandidates | None = None
    known: Scored | None = None


@dataclass(frozen=True)
class ControlEvidence:
    """What is held of the encoders beside the victim, on the same samples; None where there is none.

    Attributes:
        twin: the untrained twin.
        placebo: a trained encoder that saw neither members nor non-members.
        original: the victim that an audited suspect may be stolen from.
    """

    twin: Evidence | None = None
    placebo: Evidence | None = None
    original: Evidence | None = None

    @property
    def named(self) -> Mapping[str, Evidence]:
        """Those that there are, by the name of the control that they make."""
        all_three = {UNTRAINED: self.twin, PLACEBO: self.placebo, ORIGINAL: self.original}
        return {name: evidence for name, evidence in all_three.items() if evidence is not None}


@runtime_checkable
class Attends(Protocol):
    """A scorer that tells how much each step weighs."""

    def attention(self, features: Features) -> NDArray[np.float64]:
        """float64 [S, T] of features [S, F]; rows sum to 1."""
        ...


def fit_and_score(
    attack: Attack,
    split: Split,
    victim: Evidence,
    beside: ControlEvidence,
    knowledge: Knowledge,
    seed: int,
    *,
    sweeps: SweepChoice = NO_SWEEPS,
    treated: Mapping[str, Evidence] | None = None,
    candidates: Evidence | None = None,
) -> AuditScores:
    """Fit an attack to what is known, and score the victim's evaluated samples and every control.

    Args:
        attack: what is fitted.
        split: the samples; evidence is in its order, and names its units where the attack reads units.
        victim: of the endpoint under audit.
        beside: of the encoders that make controls.
        knowledge: what the attack is fitted to.
        seed: of every fit.
        sweeps: what to repeat with less, where samples of the victim are known.
        treated: evidence of the same samples, treated as the published code does, by side.
        candidates: of the victim, on the split's candidates, in their order; None where it has none.

    Raises:
        DataError: too few samples on a side.
    """
    rows = attack.rows(split)
    require_samples(rows, known=knowledge.known)
    streams = knowledge.streams(seed)
    fitting, features = knowledge.fitting(attack, streams), attack.features(victim)

    def score(read: Draws, of: Split, purpose: str) -> Scored:
        return scored_by(fitting(read, of, streams[purpose]), read, of)

    scorer = fitting(features, rows, streams[FIT])
    scored = scored_by(scorer, features, rows)
    calibrated = knowledge.calibrated(attack, scorer, features, rows, streams)
    controls = {name: score(attack.features(one), rows, name) for name, one in beside.named.items()}
    others = exchanged(rows, streams[EXCHANGE], known=knowledge.known)
    if others is not None:
        controls[EXCHANGED] = score(features[_rows(rows, others)], others, EXCHANGED)
    if attack.reading.reads_labels:
        controls[LABELS] = label_scores(victim.label, rows, streams[LABELS])
    less = sweep(attack, rows, victim, sweeps, streams[SWEEP]) if knowledge.known == BOTH_SIDES else ()
    varied = (Swept(name, x, scored_by(scorer, read, rows)) for name, x, read in attack.reading.varied(victim))
    return AuditScores(
        scored,
        None if calibrated is None else calibrated.p_values,
        controls,
        tuple(_figures(attack, rows, victim, scorer, features)),
        (*less, *varied),
        {side: score(attack.features(one), rows, TREATED) for side, one in (treated or {}).items()},
        _unreadable(attack, victim, features, scored),
        None if candidates is None else candidates_scored_by(scorer, attack.features(candidates), split.candidates),
        None if calibrated is None else calibrated.known,
    )


def is_constant(features: Draws, scored: Scored) -> bool:
    """Whether there is nothing to tell samples apart by: equal features, within rounding, or equal scores.

    Args:
        features: float32 [S, R, F].
        scored: of the evaluated ones.
    """
    return same_within_rounding(features) or bool(np.ptp(scored.score) == 0.0)


def _unreadable(attack: Attack, victim: Evidence, features: Draws, scored: Scored) -> str:
    """See `AuditScores.unreadable`."""
    return attack.reading.unreadable(victim) or (CONSTANT if is_constant(features, scored) else "")


def _figures(attack: Attack, split: Split, victim: Evidence, scorer: DrawsScorer, features: Draws) -> Iterator[Figure]:
    """Of the evaluated samples: what the reading draws and, where the scorer attends to steps, how much to each."""
    shown = split.role != KNOWN
    yield from attack.reading.figures(victim, shown, split.member)
    if isinstance(scorer.scorer, Attends):
        weights = scorer.scorer.attention(features[shown, 0]).astype(np.float32)
        yield mean_curves(weights, split.member[shown], *_ATTENTION)


def _rows(split: Split, chosen: Split) -> NDArray[np.int64]:
    """Rows of `split` that hold the samples of `chosen`, in its order."""
    place = {int(sample): row for row, sample in enumerate(split.sample_id)}
    return np.array([place[int(sample)] for sample in chosen.sample_id], dtype=np.int64)
