"""One cell of an experiment: the scores of a victim under an attack, and of the same attack where nothing can leak."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.attacks.inference.base import Signals as SignalArray
from leakscope.attack_engine.audits.curves import diagnostic_curves
from leakscope.attack_engine.audits.scoring import Scored, conformal_p_values, exchanged, require_samples, score_partial
from leakscope.attack_engine.evaluation.results import Curves
from leakscope.attack_engine.extraction import Signals
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
        p_values: float64 [E], calibrated p-value of each evaluated sample for "not a member".
        controls: scores of the null controls, by name.
        curves: mean diagnostic curves over the evaluated samples.
    """

    scored: Scored
    p_values: NDArray[np.float64]
    controls: Mapping[str, Scored]
    curves: tuple[Curves, ...] = field(default_factory=tuple)


def make_cell(attack: Attack, split: Split, victim: Signals, twin: Signals | None, seed: int) -> Cell:
    """Fit and score an attack and its null controls.

    Args:
        attack: what is fitted.
        split: the samples; signals are in its order.
        victim: signals of the endpoint under audit.
        twin: signals of its untrained twin; None leaves that control out.
        seed: of every fit.

    Raises:
        DataError: too few samples on a side.
    """
    require_samples(split)
    streams = iter(np.random.default_rng([seed, _FITS]).spawn(5))
    scored = score_partial(attack.inference, victim.values, split, next(streams))
    p_values = conformal_p_values(attack.inference, victim.values, split, next(streams))
    controls: dict[str, Scored] = {}
    untrained_stream = next(streams)
    if twin is not None:
        controls[UNTRAINED] = score_partial(attack.inference, twin.values, split, untrained_stream)
    exchange = exchanged(split, next(streams))
    if exchange is not None:
        rows = _rows(split, exchange)
        controls[EXCHANGED] = score_partial(attack.inference, victim.values[rows], exchange, next(streams))
    evaluated = split.role != KNOWN
    diagnostics = {name: values[evaluated] for name, values in victim.diagnostics.items()}
    return Cell(scored, p_values, controls, diagnostic_curves(diagnostics, scored.member, attack.curves))


def joined(parts: list[Signals]) -> Signals:
    """Signals of several kinds side by side, for an attack that combines them."""
    values: SignalArray = np.concatenate([part.values for part in parts], axis=1)
    return Signals(values, {name: value for part in parts for name, value in part.diagnostics.items()})


def _rows(split: Split, chosen: Split) -> NDArray[np.int64]:
    """Rows of `split` that hold the samples of `chosen`, in its order."""
    place = {int(sample): row for row, sample in enumerate(split.sample_id)}
    return np.array([place[int(sample)] for sample in chosen.sample_id], dtype=np.int64)
