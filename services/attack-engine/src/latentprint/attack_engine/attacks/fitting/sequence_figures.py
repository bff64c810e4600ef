"""What sets members' metric sequences apart, as plain results (SeqMIA, CCS 2024, Figs. 1, 2, 9, 13 and 14)."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.fitting.curves import diagnostic_curves
from latentprint.attack_engine.evidence.sequence_analyses import (
    cumulative_fluctuation,
    decline_rate,
    metric_correlations,
)
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.base import Membership, Signals
from latentprint.attack_engine.statistics.figures import Correlations, Curves, NamedHistogram, SequenceFigures
from latentprint.attack_engine.statistics.roc import score_histogram

_STEP = "step (the last is the model itself)"
_SNAPSHOT = "snapshot"
_DECLINING = ("loss", "entropy")
_SHOWN = 0.99  # larger values lie in the last bin: one far sample would leave all others in the first
_ATTENTION = "attention"

Sequence = NDArray[np.float32]


@runtime_checkable
class Attends(Protocol):
    """A scorer that says how much each step weighs."""

    def attention(self, signals: Signals) -> NDArray[np.float64]:
        """float64 [S, T] of signals [S, F]; rows sum to 1."""
        ...


def sequence_figures(evidence: Evidence | None, rows: Membership, member: Membership) -> SequenceFigures | None:
    """Correlations and histograms of the sequences; None where there are none.

    Fluctuation and decline are taken over the snapshots alone: the step from the last of them to the model itself is
    no step of training.

    Args:
        evidence: on S samples.
        rows: bool [S], those to show.
        member: bool [S].
    """
    if evidence is None or evidence.sequence is None:
        return None
    sequence, sides = evidence.sequence[rows], member[rows]
    snapshots = sequence[:, :-1] if _ends_with_model(evidence) else sequence
    correlations = Correlations(
        "Correlation between metric sequences",
        evidence.metrics,
        _correlated(sequence[sides]),
        _correlated(sequence[~sides]),
    )
    return SequenceFigures(correlations, tuple(_histograms(snapshots, evidence.metrics, sides)))


def sequence_curves(evidence: Evidence | None, rows: Membership, member: Membership) -> tuple[Curves, ...]:
    """Mean sequence of each metric; arguments as for `sequence_figures`."""
    if evidence is None or evidence.sequence is None:
        return ()
    values = {name: evidence.sequence[rows, :, place] for place, name in enumerate(evidence.metrics)}
    step = _STEP if _ends_with_model(evidence) else _SNAPSHOT
    words = {name: (f"Sequence of {name}", step, f"mean {name}") for name in values}
    return diagnostic_curves(values, member[rows], words)


def attention_curves(scorer: object, features: Signals, member: Membership) -> tuple[Curves, ...]:
    """How much each step weighs for a scorer that says so: of signals float32 [S, F] and bool [S]."""
    if not isinstance(scorer, Attends):
        return ()
    weights = scorer.attention(features).astype(np.float32)
    words = {_ATTENTION: ("Attention over the steps", "step, as the attack reads them", "mean weight")}
    return diagnostic_curves({_ATTENTION: weights}, member, words)


def _ends_with_model(evidence: Evidence) -> bool:
    """Sequences of posteriors end with the model's own answer; disagreement with itself would be none."""
    return evidence.posterior is not None


def _correlated(sequence: Sequence) -> tuple[tuple[float | None, ...], ...]:
    mean = metric_correlations(sequence).mean
    return tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in mean)


def _histograms(snapshots: Sequence, names: tuple[str, ...], member: Membership) -> Iterator[NamedHistogram]:
    steps = snapshots.shape[1]
    if steps < 2:
        return
    for place, name in enumerate(names):
        total = cumulative_fluctuation(snapshots[..., place])
        yield _histogram(f"Fluctuation of {name}", f"sum of |change of {name}| over the snapshots", total, member)
    for name in _DECLINING:
        if name in names:
            rate = decline_rate(snapshots[..., names.index(name)], 0, steps - 1)
            yield _histogram(f"Decline of {name}", f"decline of {name} a snapshot", rate, member)


def _histogram(title: str, x_label: str, values: NDArray[np.float64], member: Membership) -> NamedHistogram:
    held = np.minimum(values, np.quantile(values, _SHOWN))
    return NamedHistogram(title, x_label, score_histogram(held[member], held[~member]))
