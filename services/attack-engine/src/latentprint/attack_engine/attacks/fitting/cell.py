"""One cell of an experiment: the scores of a victim under an attack, and of the same attack where nothing can leak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.curves import diagnostic_curves
from latentprint.attack_engine.attacks.fitting.extracted import Extracted, Shadow
from latentprint.attack_engine.attacks.fitting.labels import label_scores
from latentprint.attack_engine.attacks.fitting.scoring import (
    Scored,
    conformal_p_values,
    exchanged,
    require_samples,
    score_partial,
    scored_by,
)
from latentprint.attack_engine.attacks.fitting.sequence_figures import (
    attention_curves,
    sequence_curves,
    sequence_figures,
)
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice, Swept, sweep
from latentprint.attack_engine.evidence.controls import EXCHANGED, LABELS, PLACEBO, UNTRAINED
from latentprint.attack_engine.inference.over_draws import Draws, DrawsScorer
from latentprint.attack_engine.statistics.figures import Curves, SequenceFigures
from latentprint.core.splits import KNOWN, Split

_FITS = 1  # what a seed is used for tells its streams apart
_ROUNDING = 4e-6  # of float32 answers, relative, which change by 5e-7 with the batch that they travel in


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
        constant: whether the attack reads the same from every sample, or scores every sample the same.
    """

    scored: Scored
    p_values: NDArray[np.float64] | None
    controls: Mapping[str, Scored]
    curves: tuple[Curves, ...] = ()
    sweeps: tuple[Swept, ...] = ()
    treated: Mapping[str, Scored] = field(default_factory=dict)
    sequences: SequenceFigures | None = None
    constant: bool = False


@dataclass(frozen=True)
class Encoders:
    """What an attack's signals gave on the encoders beside the victim, of the same samples; None where there is none.

    Attributes:
        twin: the untrained twin.
        placebo: a trained encoder that saw neither members nor non-members.
    """

    twin: Extracted | None = None
    placebo: Extracted | None = None

    @property
    def named(self) -> Mapping[str, Extracted]:
        """Those that there are, by the name of the control that they make."""
        both = {UNTRAINED: self.twin, PLACEBO: self.placebo}
        return {name: extracted for name, extracted in both.items() if extracted is not None}


def make_cell(
    attack: Attack,
    split: Split,
    victim: Extracted,
    beside: Encoders,
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
        beside: signals of the encoders that make null controls.
        seed: of every fit.
        sweeps: what to repeat with less.
        treated: signals of the same samples, treated as the published code does, by side.

    Raises:
        DataError: too few samples on a side.
    """
    require_samples(split)
    # One stream a purpose, in an order that never changes: a further control leaves every other fit as it was.
    fit, calibrate, twin, exchange, exchanged_fit, sweeping, treating, placebo, labels = np.random.default_rng(
        [seed, _FITS]
    ).spawn(9)
    inference, features = attack.over_draws, victim.features(attack)
    scored = score_partial(inference, features, split, fit)
    p_values = conformal_p_values(inference, features, split, calibrate)
    fits = {UNTRAINED: twin, PLACEBO: placebo}
    controls = {
        name: score_partial(inference, extracted.features(attack), split, fits[name])
        for name, extracted in beside.named.items()
    }
    others = exchanged(split, exchange)
    if others is not None:
        controls[EXCHANGED] = score_partial(inference, features[_rows(split, others)], others, exchanged_fit)
    controls |= _label_control(attack, split, victim, labels)
    swept = tuple(sweep(attack, split, victim, sweeps, sweeping))
    unlike = {
        side: score_partial(inference, extracted.features(attack), split, treating)
        for side, extracted in (treated or {}).items()
    }
    return Cell(
        scored,
        p_values,
        controls,
        _curves(attack, split, victim),
        swept,
        unlike,
        _sequences(split, victim),
        is_constant(features, scored),
    )


def make_shadow_cell(
    attack: Attack, split: Split, victim: Extracted, beside: Encoders, shadow: Shadow, seed: int
) -> Cell:
    """Fit an attack on a shadow encoder whose membership the adversary knows whole; score it on the victim.

    Args:
        attack: what is fitted.
        split: the victim's samples; only the evaluated ones are scored, as in the partial setting.
        victim: signals of the endpoint under audit.
        beside: signals of the encoders that make null controls.
        shadow: signals and membership of the shadow encoder's own samples.
        seed: of every fit.
    """
    fit_stream, *streams = np.random.default_rng([seed, _FITS]).spawn(3)
    scorer = attack.over_draws.fit(shadow.extracted.features(shadow.attack), shadow.member, fit_stream)
    return _scored_cell(attack, split, victim, beside, scorer, streams)


def make_unfitted_cell(attack: Attack, split: Split, victim: Extracted, beside: Encoders, seed: int) -> Cell:
    """Score an attack whose decision is known beforehand; arguments as for `make_shadow_cell`."""
    fit_stream, *streams = np.random.default_rng([seed, _FITS]).spawn(3)
    scorer = attack.over_draws.fit(victim.features(attack)[:0], split.member[:0], fit_stream)
    return _scored_cell(attack, split, victim, beside, scorer, streams)


def _scored_cell(
    attack: Attack,
    split: Split,
    victim: Extracted,
    beside: Encoders,
    scorer: DrawsScorer,
    streams: Sequence[np.random.Generator],
) -> Cell:
    """The cell of a scorer that no sample of the victim was fitted to; `streams` draw the exchanged and the labels'."""
    exchange_stream, label_stream = streams
    require_samples(split, known_too=False)
    features = victim.features(attack)
    controls = {name: scored_by(scorer, one.features(attack), split) for name, one in beside.named.items()}
    exchange = exchanged(split, exchange_stream, known_too=False)
    if exchange is not None:
        controls[EXCHANGED] = scored_by(scorer, features[_rows(split, exchange)], exchange)
    controls |= _label_control(attack, split, victim, label_stream)
    scored, evaluated = scored_by(scorer, features, split), split.role != KNOWN
    attention = attention_curves(scorer.scorer, features[evaluated, 0], split.member[evaluated])
    curves = (*_curves(attack, split, victim), *attention)
    sequences, constant = _sequences(split, victim), is_constant(features, scored)
    return Cell(scored, None, controls, curves, sequences=sequences, constant=constant)


def is_constant(features: Draws, scored: Scored) -> bool:
    """Whether there is nothing to tell samples apart by: equal features, within rounding, or equal scores.

    Args:
        features: float32 [S, R, F].
        scored: of the evaluated ones.
    """
    spread = np.ptp(features, axis=0)  # [R, F]
    size = np.abs(features).max(axis=0, initial=0.0)
    return bool((spread <= _ROUNDING * size).all()) or bool(np.ptp(scored.score) == 0.0)


def _label_control(attack: Attack, split: Split, victim: Extracted, rng: np.random.Generator) -> dict[str, Scored]:
    """The control of an attack that reads class labels, by name: what the labels alone tell."""
    if not attack.reads_labels or victim.evidence is None:
        return {}
    return {LABELS: label_scores(victim.evidence.label, split, rng)}


def _curves(attack: Attack, split: Split, victim: Extracted) -> tuple[Curves, ...]:
    evaluated = split.role != KNOWN
    diagnostics = {name: values[evaluated] for name, values in victim.diagnostics.items()}
    # A cell is stored without the words of its attack's figures, so that a reworded one is not fitted again.
    recorded = diagnostic_curves(diagnostics, split.member[evaluated], {name: (name, "", "") for name in attack.curves})
    return (*recorded, *sequence_curves(victim.evidence, evaluated, split.member))


def _sequences(split: Split, victim: Extracted) -> SequenceFigures | None:
    return sequence_figures(victim.evidence, split.role != KNOWN, split.member)


def _rows(split: Split, chosen: Split) -> NDArray[np.int64]:
    """Rows of `split` that hold the samples of `chosen`, in its order."""
    place = {int(sample): row for row, sample in enumerate(split.sample_id)}
    return np.array([place[int(sample)] for sample in chosen.sample_id], dtype=np.int64)
