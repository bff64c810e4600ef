"""One cell of an experiment: the scores of a victim under an attack, and of the same attack where nothing can leak."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.attacks.inference.over_draws import DrawsScorer
from leakscope.attack_engine.audits.curves import diagnostic_curves
from leakscope.attack_engine.audits.extracted import Extracted, Shadow
from leakscope.attack_engine.audits.scoring import (
    Scored,
    conformal_p_values,
    exchanged,
    require_samples,
    score_partial,
    scored_by,
)
from leakscope.attack_engine.audits.sequence_figures import attention_curves, sequence_curves, sequence_figures
from leakscope.attack_engine.audits.sweeps import NO_SWEEPS, SweepChoice, Swept, sweep
from leakscope.attack_engine.evaluation.results import Curves, SequenceFigures
from leakscope.core.splits import KNOWN, Split

_FITS = 1  # what a seed is used for tells its streams apart

UNTRAINED = "untrained encoder"
EXCHANGED = "exchanged non-members"
CONTROLS = {
    UNTRAINED: "the same attack on the same samples against an untrained encoder of the same architecture",
    EXCHANGED: "the same attack on this endpoint, with half of the non-members in the members' place",
}


@dataclass(frozen=True)
class Cell:
    """What an attack gave.

    Attributes:
        scored: scores of the evaluated samples.
        p_values: float64 [E], calibrated p-value of each evaluated sample for "not a member"; None where no sample of
            this victim is known to calibrate on.
        controls: scores of the null controls, by name.
        curves: mean diagnostic curves over the evaluated samples.
        sweeps: scores with less knowledge, or fewer queries.
        treated: scores with members and non-members treated differently, by side ("victim", "twin").
        sequences: what sets metric sequences of the evaluated samples apart, where the attack reads such.
    """

    scored: Scored
    p_values: NDArray[np.float64] | None
    controls: Mapping[str, Scored]
    curves: tuple[Curves, ...] = ()
    sweeps: tuple[Swept, ...] = ()
    treated: Mapping[str, Scored] = field(default_factory=dict)
    sequences: SequenceFigures | None = None


def make_cell(
    attack: Attack,
    split: Split,
    victim: Extracted,
    twin: Extracted | None,
    seed: int,
    *,
    sweeps: SweepChoice = NO_SWEEPS,
    treated: Mapping[str, Extracted] | None = None,
) -> Cell:
    """Fit and score an attack and its null controls in the partial setting.

    Args:
        attack: what is fitted.
        split: the samples; signals are in its order.
        victim: signals of the endpoint under audit.
        twin: signals of its untrained twin; None leaves that control out.
        seed: of every fit.
        sweeps: what to repeat with less.
        treated: signals of the same samples, treated as the published code does, by side.

    Raises:
        DataError: too few samples on a side.
    """
    require_samples(split)
    streams = iter(np.random.default_rng([seed, _FITS]).spawn(7))
    inference, features = attack.over_draws, victim.features(attack)
    scored = score_partial(inference, features, split, next(streams))
    p_values = conformal_p_values(inference, features, split, next(streams))
    controls: dict[str, Scored] = {}
    untrained_stream = next(streams)
    if twin is not None:
        controls[UNTRAINED] = score_partial(inference, twin.features(attack), split, untrained_stream)
    exchange = exchanged(split, next(streams))
    if exchange is not None:
        exchanged_features = features[_rows(split, exchange)]
        controls[EXCHANGED] = score_partial(inference, exchanged_features, exchange, next(streams))
    swept = tuple(sweep(attack, split, victim, sweeps, next(streams)))
    treated_stream = next(streams)
    unlike = {
        side: score_partial(inference, extracted.features(attack), split, treated_stream)
        for side, extracted in (treated or {}).items()
    }
    return Cell(scored, p_values, controls, _curves(attack, split, victim), swept, unlike, _sequences(split, victim))


def make_shadow_cell(
    attack: Attack, split: Split, victim: Extracted, twin: Extracted | None, shadow: Shadow, seed: int
) -> Cell:
    """Fit an attack on a shadow encoder whose membership the adversary knows whole; score it on the victim.

    Args:
        attack: what is fitted.
        split: the victim's samples; only the evaluated ones are scored, as in the partial setting.
        victim: signals of the endpoint under audit.
        twin: signals of its untrained twin; None leaves that control out.
        shadow: signals and membership of the shadow encoder's own samples.
        seed: of every fit.
    """
    fit_stream, exchange_stream = np.random.default_rng([seed, _FITS]).spawn(2)
    scorer = attack.over_draws.fit(shadow.extracted.features(shadow.attack), shadow.member, fit_stream)
    return _scored_cell(attack, split, victim, twin, scorer, exchange_stream)


def make_unfitted_cell(attack: Attack, split: Split, victim: Extracted, twin: Extracted | None, seed: int) -> Cell:
    """Score an attack whose decision is known beforehand; arguments as for `make_shadow_cell`."""
    fit_stream, exchange_stream = np.random.default_rng([seed, _FITS]).spawn(2)
    scorer = attack.over_draws.fit(victim.features(attack)[:0], split.member[:0], fit_stream)
    return _scored_cell(attack, split, victim, twin, scorer, exchange_stream)


def _scored_cell(
    attack: Attack,
    split: Split,
    victim: Extracted,
    twin: Extracted | None,
    scorer: DrawsScorer,
    rng: np.random.Generator,
) -> Cell:
    """The cell of a scorer that no sample of the victim was fitted to; `rng` draws the exchanged non-members."""
    require_samples(split, known_too=False)
    features = victim.features(attack)
    controls: dict[str, Scored] = {}
    if twin is not None:
        controls[UNTRAINED] = scored_by(scorer, twin.features(attack), split)
    exchange = exchanged(split, rng, known_too=False)
    if exchange is not None:
        controls[EXCHANGED] = scored_by(scorer, features[_rows(split, exchange)], exchange)
    evaluated = split.role != KNOWN
    attention = attention_curves(scorer.scorer, features[evaluated, 0], split.member[evaluated])
    curves = (*_curves(attack, split, victim), *attention)
    return Cell(scored_by(scorer, features, split), None, controls, curves, sequences=_sequences(split, victim))


def _curves(attack: Attack, split: Split, victim: Extracted) -> tuple[Curves, ...]:
    evaluated = split.role != KNOWN
    diagnostics = {name: values[evaluated] for name, values in victim.diagnostics.items()}
    recorded = diagnostic_curves(diagnostics, split.member[evaluated], attack.curves)
    return (*recorded, *sequence_curves(victim.evidence, evaluated, split.member))


def _sequences(split: Split, victim: Extracted) -> SequenceFigures | None:
    return sequence_figures(victim.evidence, split.role != KNOWN, split.member)


def _rows(split: Split, chosen: Split) -> NDArray[np.int64]:
    """Rows of `split` that hold the samples of `chosen`, in its order."""
    place = {int(sample): row for row, sample in enumerate(split.sample_id)}
    return np.array([place[int(sample)] for sample in chosen.sample_id], dtype=np.int64)
